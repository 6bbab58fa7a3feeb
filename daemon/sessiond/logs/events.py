"""One record with a stable event name."""

import logging
from collections.abc import Mapping


def event(logger: logging.Logger, level: int, name: str, message: str, **fields: object) -> None:
    """Log one record with its stable event name and fields; fields that are None are left out."""
    logger.log(level, message, extra={"event": name, "fields": fields})


def own_record(level: int, name: str, message: str, fields: Mapping[str, object]) -> logging.LogRecord:
    """Return a record of the log about itself, which passes no logger."""
    record = logging.LogRecord("sessiond.logs", level, "", 0, message, None, None)
    vars(record).update(event=name, fields=fields)
    return record
