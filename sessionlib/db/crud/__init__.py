"""Create, read, update and delete, one module an entity. Each function runs in the caller's transaction."""
