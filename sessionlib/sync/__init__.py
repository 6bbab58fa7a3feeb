"""The bridge from files to database: one way, idempotent, ordered."""
