"""Alembic's entry: runs the migrations on the connection that `sessionlib.db.schema` hands over."""

from alembic import context

from sessionlib.db.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, compare_type=False)
with context.begin_transaction():
    context.run_migrations()
