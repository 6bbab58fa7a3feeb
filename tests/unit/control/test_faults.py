"""What a client raises: the daemon's sentence, hint and exit code, or why there is no answer."""

import json

import pytest

from sessionlib import control
from sessionlib.control import faults
from sessionlib.control.protocol import ABSENT, DENIED, GARBLED, SILENT, Unanswered
from sessionlib.errors import ControlError, DaemonNotRunningError


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("UsageError", 2),
        ("RecordNotFoundError", 1),
        ("StateNotFoundError", 1),
        ("DatabaseUnavailableError", 69),
        ("ConfigError", 78),
        ("StateLockedError", 75),
        ("MirrorStaleError", 1),
        ("Path", 1),
        ("nonsense", 1),
        ("", 1),
        (7, 1),
    ],
)
def test_the_daemon_s_error_keeps_its_exit_code(kind: object, code: int) -> None:
    """The name of its class decides; what is none of ours ends with 1."""
    error = faults.refused(400, json.dumps({"error": "no", "hint": "do", "kind": kind}).encode())
    assert (error.message, error.hint, error.exit_code, error.status) == ("no", "do", code, 400)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error": 3}', b"\xff", b"[" * 100_000], ids=range(6)
)
def test_an_error_without_a_sentence_gets_one(body: bytes) -> None:
    """Whatever stands between us and the daemon, the reader learns the status."""
    error = faults.refused(502, body)
    assert (error.message, error.hint, error.exit_code) == ("sessiond answered with HTTP 502", None, 1)


@pytest.mark.parametrize(
    ("why", "code", "words"),
    [
        (ABSENT, 3, "is not running: nothing listens on /s"),
        (DENIED, 1, "cannot be asked"),
        (SILENT, 1, "does not answer within 2.5 s"),
        (GARBLED, 1, "does not answer like sessiond"),
    ],
)
def test_no_answer_is_one_sentence_with_a_hint(why: str, code: int, words: str) -> None:
    """Not running is 3, everything else 1; each says what to do."""
    error = faults.unanswered(Unanswered(why), "/s", 2.5)
    assert words in error.message
    assert error.hint
    assert (error.exit_code, isinstance(error, DaemonNotRunningError)) == (code, code == 3)
    assert isinstance(error, ControlError)


def test_the_package_offers_its_names() -> None:
    """Client, event and status are found on the package, and nothing else is."""
    assert [getattr(control, name).__name__ for name in control.__all__] == control.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = control.nothing  # type: ignore[attr-defined]
