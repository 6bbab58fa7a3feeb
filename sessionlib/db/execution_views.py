"""SQL views on what the agents did, for people and other tools; the same on SQLite and PostgreSQL."""


def statements(_dialect: str) -> tuple[str, ...]:
    """Return the CREATE VIEW statements for a dialect, in order."""
    return ()
