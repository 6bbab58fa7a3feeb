"""Log lines: one a record, whatever is in it, in both formats."""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessiond.logs import LogOptions, Logs, event, set_up
from sessiond.logs.lines import LineFormat, Style
from sessionlib.errors import ConfigError
from sessionlib.redaction import Redactor

LOG = logging.getLogger("sessiond.test")
MOST_BYTES = 8192
_PAIR = re.compile(r'([A-Za-z0-9_.-]+)=([^\s"=]+|"(?:[^"\\]|\\.)*")(?: |$)')

Start = Callable[..., Logs]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Set up the log, to the file `log` unless told otherwise; what was there before comes back."""
    made = []

    def begin(secrets: tuple[str, ...] = (), **options: Any) -> Logs:
        made.append(set_up(LogOptions(**({"file": tmp_path / "log"} | options)), secrets=secrets))
        return made[-1]

    yield begin
    for logs in made:
        logs.close()


def parsed(line: str, style: Style) -> dict[str, Any]:
    """Read a line as a strict reader of its format does."""
    if style == "json":
        orjson.loads(line)  # refuses lone surrogates, as strict readers do
        return dict(json.loads(line, object_pairs_hook=_no_twins))
    assert "".join(match[0] for match in _PAIR.finditer(line)) == line
    pairs = [(match[1], match[2]) for match in _PAIR.finditer(line)]
    return _no_twins([(key, json.loads(text) if text[0] == '"' else text) for key, text in pairs])


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def lines(tmp_path: Path) -> list[str]:
    """Return the lines of the file."""
    text = (tmp_path / "log").read_text()
    assert text.endswith("\n")
    return text.removesuffix("\n").split("\n")


def record_of(message: str, fields: dict[str, Any] | None = None, **more: Any) -> logging.LogRecord:
    """Return a record as `event` makes it."""
    given = {"name": "sessiond.test", "levelname": "INFO", "levelno": 20, "msg": message, "event": "e"}
    return logging.makeLogRecord(given | {"fields": fields or {}, "created": 1_800_000_000.25} | more)


def line_of(style: Style, message: str, fields: dict[str, Any] | None = None, **more: Any) -> str:
    """Format one record."""
    line = LineFormat(style, Redactor()).line(record_of(message, fields, **more))
    assert line.endswith(b"\n")
    return line[:-1].decode()


def test_a_record_is_one_line_of_fields() -> None:
    """Time, level, event, message and fields stand in order; plain values are not quoted."""
    told = line_of("logfmt", "mirrored", {"path": "/a/b", "n": 3, "none": None, "ok": True, "words": "a b"})
    assert told == (
        'ts=2027-01-15T08:00:00.250Z level=info event=e msg=mirrored path=/a/b n=3 ok=true words="a b"'
    )


def test_a_record_is_one_json_object() -> None:
    """The same in JSON; numbers and truths stay what they are."""
    told = line_of("json", "mirrored", {"path": "/a/b", "n": 3, "none": None, "ok": True, "s": 0.5})
    assert told == (
        '{"ts":"2027-01-15T08:00:00.250Z","level":"info","event":"e","msg":"mirrored",'
        '"path":"/a/b","n":3,"ok":true,"s":0.5}'
    )


WORST = '\x1b[31m\n\r"\\=\u2028\u202e\udcff\ud800\0 {}\U000e0001\x85 level=error'
HOSTILE = st.text(st.characters() | st.sampled_from(WORST)) | st.text()
VALUES = HOSTILE | st.integers() | st.floats() | st.binary() | st.lists(HOSTILE) | st.booleans()


@pytest.mark.parametrize("style", ["logfmt", "json"])
@given(message=HOSTILE, name=HOSTILE, fields=st.dictionaries(HOSTILE, VALUES), trace=HOSTILE)
@example(message=WORST, name=WORST, fields={WORST: WORST}, trace=WORST)
def test_hostile_text_cannot_forge_tear_or_hide(
    style: Style, message: str, name: str, fields: dict[str, Any], trace: str
) -> None:
    """Any record is one printable line that a strict reader takes, and says its own level and message."""
    error = ValueError(trace)
    line = line_of(style, message, fields, event=name, exc_info=(ValueError, error, None))
    assert line.isprintable()
    told = parsed(line, style)
    assert list(told)[:4] == ["ts", "level", "event", "msg"]
    assert told["level"] == "info"
    assert told["traceback"].startswith("ValueError")
    if message.isprintable() and len(message) < 2000 and Redactor().clean(message) == message:
        assert told["msg"] == message


def test_text_of_all_languages_stays_readable() -> None:
    """Only what is not printable is escaped; a byte of a name that is no UTF-8 is spelt out."""
    told = line_of("logfmt", "größe 日本", {"path": "/a/\udcff\u202e"})
    assert told.endswith('msg="größe 日本" path="/a/\\\\xff\\u202e"')


def test_fields_cannot_overwrite_what_the_log_says() -> None:
    """A field with the name of a part of the line gets an underscore, and each key stands once."""
    fields = {"ts": 1, "level": "error", "event": "fake", "msg": "x", "a b": 1, "a_b": 2, "suppressed": 9}
    told = parsed(line_of("json", "m", fields), "json")
    assert (told["level"], told["event"], told["msg"]) == ("info", "e", "m")
    assert (told["level_"], told["event_"], told["a_b"], told["a_b_"]) == ("error", "fake", 1, 2)
    assert told["suppressed_"] == 9


def test_numbers_that_readers_cannot_hold_are_text() -> None:
    """Infinity is no JSON, and a number of thousands of digits no number for most; none loses the record."""
    fields = {"nan": float("nan"), "huge": 2**64, "endless": 10**5000}
    told = parsed(line_of("json", "m", fields), "json")
    assert (told["nan"], told["huge"]) == ("nan", str(2**64))
    assert told["endless"] == "<int: its text raised ValueError>"


class _Mute:
    """Refuses to be shown in any way."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class _Chatty:
    """Logs itself when it is shown."""

    depth: ClassVar = 0

    def __str__(self) -> str:
        event(LOG, logging.INFO, "chatty", "again", value=self)
        return "chatty"


@pytest.mark.parametrize("style", ["logfmt", "json"])
def test_a_value_that_cannot_be_shown_does_not_lose_its_record(style: Style) -> None:
    """Neither as a field, nor as an argument, nor as an exception; the other fields are there."""
    error = type("MuteError", (_Mute, Exception), {})()
    told = parsed(
        line_of(
            style, "at %s", {"a": _Mute(), "b": "there"}, args=(_Mute(),), exc_info=(type(error), error, None)
        ),
        style,
    )
    assert told["msg"] == "at %s <tuple: its text raised RuntimeError>"
    assert told["a"] == "<_Mute: its text raised RuntimeError>"
    assert told["b"] == "there"
    assert "MuteError" in told["traceback"]


def test_a_template_that_does_not_fit_shows_its_arguments() -> None:
    """A mistake in a log call costs no record."""
    assert parsed(line_of("json", "%d of %d", args=("x",)), "json")["msg"] == "%d of %d ('x',)"


def test_a_value_that_logs_itself_without_end_harms_nobody(start: Start, tmp_path: Path) -> None:
    """The recursion ends by itself, and the program and the log go on."""
    start(format="json")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    try:
        event(LOG, logging.INFO, "first", "a", value=_Chatty())
    finally:
        sys.setrecursionlimit(limit)
    event(LOG, logging.INFO, "last", "b")
    assert parsed(lines(tmp_path)[-1], "json")["event"] == "last"


def test_a_traceback_is_one_field(start: Start, tmp_path: Path) -> None:
    """An exception does not spill over several lines, and its end is what is kept of a long one."""
    start(format="json")
    try:
        {}["x" * 50_000 + " the end"]
    except KeyError:
        LOG.exception("failed", extra={"event": "sync.crashed"})
    (line,) = lines(tmp_path)
    told = parsed(line, "json")
    assert told["event"] == "sync.crashed"
    assert told["traceback"].endswith("the end'")
    assert told["truncated"] is True


@pytest.mark.parametrize("style", ["logfmt", "json"])
@pytest.mark.parametrize("filling", ["x", "\0", "\U000e0001", "\udcff", "😀"])
def test_records_are_capped(style: Style, filling: str) -> None:
    """However much is in it and however long it gets by escaping, a record fits into 8 KiB and says so."""
    text = filling * 100_000
    fields = {f"{number}{filling}" * 20: text for number in range(200)}
    line = line_of(style, text, fields, event=text, exc_info=(ValueError, ValueError(text), None))
    assert len(line.encode()) < MOST_BYTES - 3
    told = parsed(line, style)
    assert told["truncated"] in {True, "true"}
    assert len(told) > 10


@pytest.mark.parametrize("style", ["logfmt", "json"])
def test_a_record_that_just_fits_is_whole(style: Style) -> None:
    """Up to the cap nothing is cut; one character more and something is."""
    sizes = {}
    for length in range(1700, 2000):
        line = line_of(
            style, "m" * 300, {"a": "x" * 2000, "b": "y" * 2000, "c": "z" * 2000, "d": "w" * length}
        )
        sizes[length] = len(line.encode()) + 1
        assert ("truncated" in line) == (sizes[length] < 5000)
    assert max(sizes.values()) == MOST_BYTES - 3


def test_a_field_is_capped_at_2000_characters() -> None:
    """One long value is cut, the others and shorter ones are whole."""
    told = parsed(line_of("json", "m", {"long": "x" * 2001, "short": "y" * 2000}), "json")
    assert len(told["long"]) == 2000
    assert len(told["short"]) == 2000
    assert told["truncated"] is True
    assert "truncated" not in parsed(line_of("json", "m", {"short": "y" * 2000}), "json")


def test_extra_attributes_are_fields() -> None:
    """What other code hands to `extra` is shown as well."""
    record = record_of("m", session_dir="/s")
    del record.fields
    line = LineFormat("json", Redactor()).line(record)
    assert json.loads(line)["session_dir"] == "/s"


def test_the_level_is_that_of_our_own_loggers(start: Start, tmp_path: Path) -> None:
    """Ours follow the level, at once when it changes; others speak from warning on, requests not at all."""
    logs = start(level="warning")
    for logger in ("sessiond.a", "sessionlib.b", "somebody.else", "aiohttp.access"):
        logging.getLogger(logger).info("quiet")
    logs.set_level("debug")
    for logger in ("sessiond.a", "sessionlib.b", "somebody.else", "aiohttp.access"):
        logging.getLogger(logger).debug("heard")
        logging.getLogger(logger).error("loud")
    told = [parsed(line, "logfmt") for line in lines(tmp_path)]
    assert [(line["event"], line["msg"]) for line in told] == [
        ("sessiond.a", "heard"),
        ("sessiond.a", "loud"),
        ("sessionlib.b", "heard"),
        ("sessionlib.b", "loud"),
        ("somebody.else", "loud"),
    ]


def test_setting_up_twice_leaves_one_log(start: Start, tmp_path: Path) -> None:
    """The second takes the first's place: its file is closed, and each record is written once."""
    handlers = len(logging.getLogger().handlers)
    start()
    start(file=tmp_path / "other", format="json")
    event(LOG, logging.INFO, "e", "once")
    assert len(logging.getLogger().handlers) == handlers + 1
    assert (tmp_path / "log").read_text() == ""
    assert len((tmp_path / "other").read_text().splitlines()) == 1


def test_closing_leaves_the_process_as_it_was(start: Start) -> None:
    """Handlers, levels and hooks are those from before."""

    def facts() -> list[object]:
        levels = [logging.getLogger(name).level for name in ("", "sessiond", "sessionlib", "aiohttp.access")]
        return [*levels, *logging.getLogger().handlers, sys.excepthook, logging.raiseExceptions]

    before = facts()
    logs = start(level="error")
    assert facts() != before
    logs.close()
    logs.close()
    assert facts() == before


def test_options_change_while_it_runs(start: Start, tmp_path: Path) -> None:
    """Format, level and file change from one record to the next."""
    logs = start()
    event(LOG, logging.INFO, "a", "m")
    logs.apply(LogOptions("debug", "json", tmp_path / "log"))
    event(LOG, logging.DEBUG, "b", "m")
    logs.apply(LogOptions("info", "json", tmp_path / "other"))
    event(LOG, logging.DEBUG, "not", "m")
    event(LOG, logging.INFO, "c", "m")
    first, second = lines(tmp_path)
    assert parsed(first, "logfmt")["event"] == "a"
    assert parsed(second, "json")["event"] == "b"
    assert json.loads((tmp_path / "other").read_text())["event"] == "c"
    assert logs.options == LogOptions("info", "json", tmp_path / "other")


@pytest.mark.parametrize("options", [{"level": "loud"}, {"file": Path("/nowhere\0")}])
def test_options_that_cannot_be_used_change_nothing(
    start: Start, tmp_path: Path, options: dict[str, Any]
) -> None:
    """A reload with them fails with their key, and the log goes on as before."""
    logs = start()
    with pytest.raises(ConfigError) as caught:
        logs.apply(LogOptions(**({"file": tmp_path / "log"} | options)))
    assert caught.value.key == f"log.{next(iter(options))}"
    assert caught.value.hint
    event(LOG, logging.INFO, "e", "still here")
    assert "still here" in lines(tmp_path)[-1]
    assert logs.options == LogOptions(file=tmp_path / "log")
