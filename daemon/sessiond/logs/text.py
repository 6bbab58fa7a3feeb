"""Any value as text."""


def as_text(value: object) -> str:
    """Return the value as text; one that refuses says so instead, so that its record is not lost."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - whatever a foreign __str__ raises
        return f"<{type(value).__name__}: its text raised {type(error).__name__}>"
