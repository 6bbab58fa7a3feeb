"""One line a record, as logfmt: UTC time, level, event, message, fields. Hostile text cannot forge a line."""

import json
import logging
import re
import sys
import time
from typing import Any

from typing_extensions import override

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=\[\]-]+")
_MAX_FIELD = 2000


def _quoted(value: Any) -> str:
    """Return a value as one logfmt word; anything unusual is quoted and escaped as a JSON string."""
    text = str(value)[:_MAX_FIELD]
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


class LogfmtFormatter(logging.Formatter):
    """Formats records as ``ts=… level=… event=… msg="…" key=value``; a traceback is one escaped field."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        parts = [f"ts={stamp}.{int(record.msecs):03d}Z", f"level={record.levelname.lower()}"]
        parts.append(f"event={_quoted(getattr(record, 'event', record.name))}")
        parts.append(f"msg={_quoted(record.getMessage())}")
        fields: dict[str, Any] = getattr(record, "fields", {})
        parts += [f"{key}={_quoted(value)}" for key, value in fields.items() if value is not None]
        if record.exc_info:
            parts.append(f"traceback={json.dumps(self.formatException(record.exc_info)[-_MAX_FIELD:])}")
        return " ".join(parts)


def set_up(level: str) -> None:
    """Send our records to standard error, and everybody else's from warning on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogfmtFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("sessionlib", "sessiond"):
        logging.getLogger(name).setLevel(level.upper())
    # A full disk under the log must not stop the mirror, nor print tracebacks about itself.
    logging.raiseExceptions = False
    logging.captureWarnings(capture=True)


def event(logger: logging.Logger, level: int, name: str, message: str, **fields: object) -> None:
    """Log one record with its stable event name and fields."""
    logger.log(level, message, extra={"event": name, "fields": fields})
