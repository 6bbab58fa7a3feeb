"""The database side: engine, schema, tables, CRUD and questions. Knows no files."""
