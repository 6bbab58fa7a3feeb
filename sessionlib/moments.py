"""Times as people write them: a day, a moment, or how long ago."""

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,6})([mhdw])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def moment(text: str, now: datetime) -> datetime:
    """Return a moment, in UTC.

    Args:
        text: A day (``2026-02-16``, its beginning in UTC), an ISO moment (in UTC without a zone), or how long
            ago: ``30m``, ``12h``, ``7d``, ``2w``.
        now: The present.

    Raises:
        ValueError: It is none of these, or in no year from 1 to 9999.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        if _DAY.fullmatch(text) or _MOMENT.fullmatch(text):
            found = datetime.fromisoformat(text)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("a day like 2026-02-16, a moment like 2026-02-16T09:00Z, or a time ago like 12h or 7d")


def day(text: str, now: datetime) -> str:
    """Return a day as ``YYYY-MM-DD`` in UTC; what is taken is that of `moment`.

    Raises:
        ValueError: As `moment`.
    """
    return moment(text, now).date().isoformat()
