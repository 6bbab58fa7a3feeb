"""What went wrong between client and daemon, as errors for people."""

import json
from typing import Any

from sessionlib import errors
from sessionlib.control.finding import START_HINT, Unreadable
from sessionlib.control.protocol import ABSENT, DENIED, SILENT, Unanswered
from sessionlib.errors import (
    ConfigError,
    ControlError,
    ControlRefusedError,
    DaemonNotRunningError,
    SessionlibError,
)

_HUNG_HINT = "look into its log; SIGUSR2 makes it write there what it is doing"


def unanswered(error: Unanswered, socket: str, timeout: float) -> ControlError:
    """Return the error for a daemon that gave no answer."""
    if error.why == ABSENT:
        return DaemonNotRunningError(f"sessiond is not running: nothing listens on {socket}", hint=START_HINT)
    if error.why == DENIED:
        return ControlError(
            f"sessiond cannot be asked: {socket}: {error.detail or 'Permission denied'}",
            hint="it speaks only with the user it runs as",
        )
    if error.why == SILENT:
        return ControlError(f"sessiond does not answer within {timeout:g} s on {socket}", hint=_HUNG_HINT)
    return ControlError(
        f"what listens on {socket} does not answer like sessiond: {error.detail or 'no HTTP'}",
        hint="it speaks only with the user it runs as; is it another program, or another version?",
    )


def refused(status: int, body: bytes) -> ControlRefusedError:
    """Return the error that the daemon answered with: its sentence, its hint, its exit code."""
    told = _told(body)
    kind = told.get("kind")
    kind = kind if isinstance(kind, str) else ""
    sentence = told.get("error")
    hint = told.get("hint")
    return ControlRefusedError(
        status,
        sentence if isinstance(sentence, str) and sentence else f"sessiond answered with HTTP {status}",
        kind=kind,
        hint=hint if isinstance(hint, str) and hint else None,
        exit_code=_exit_code(kind),
    )


def unreadable(error: Unreadable) -> ConfigError:
    """Return the error for a configuration that does not say where the daemon is."""
    message = f"cannot read the configuration {error.path}: {error.reason}" if error.path else error.reason
    return ConfigError(message, source=error.path, hint="mend the file, or name another with --config")


def _told(body: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _exit_code(kind: str) -> int:
    known = getattr(errors, kind, None)
    if isinstance(known, type) and issubclass(known, SessionlibError):
        return known.exit_code
    return SessionlibError.exit_code
