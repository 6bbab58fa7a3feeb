"""Where lines go: standard error, journald's stream, and a file that is rotated, filled or taken away."""

import json
import logging
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessiond.logs import LogOptions, Logs, event, set_up
from sessionlib.errors import ConfigError

LOG = logging.getLogger("sessiond.test")

_PROGRAM = """
import logging, sys
from pathlib import Path
from sessiond.logs import LogOptions, event, set_up
logs = set_up(LogOptions("debug"))
log = logging.getLogger("sessiond.test")
"""

Start = Callable[..., Logs]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Set up the log, as JSON in the file `logs/log` unless told otherwise."""
    made = []

    def begin(file: Path | None = tmp_path / "logs" / "log") -> Logs:
        made.append(set_up(LogOptions("debug", "json", file)))
        return made[-1]

    yield begin
    for logs in made:
        logs.close()


def say(text: str) -> None:
    """Log one record."""
    event(LOG, logging.INFO, "e", text)


def told(*paths: Path) -> list[str]:
    """Return the messages in files, each line of which must be whole."""
    lines = [line for path in paths for line in path.read_bytes().splitlines(keepends=True)]
    assert all(line.endswith(b"\n") for line in lines)
    return [json.loads(line)["msg"] for line in lines]


def program(body: str, **more: object) -> subprocess.CompletedProcess[bytes]:
    """Run a program that sets up the log."""
    command = [sys.executable, "-c", _PROGRAM + body]
    return subprocess.run(command, check=True, timeout=30, **more)  # type: ignore[call-overload,no-any-return]


def test_lines_go_to_standard_error(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    """At once, and without a priority when it is not journald's."""
    start(None)
    say("there")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith('{"ts":')


def test_journald_gets_priorities() -> None:
    """Each line begins with the syslog priority of its level when standard error is the journal's stream."""
    reading, writing = os.pipe()
    status = os.fstat(writing)
    body = "for level in (50, 40, 30, 20, 10, 5): log.log(level, 'x')\nlog.setLevel(1); log.log(5, 'y')"
    program(body, stderr=writing, env=os.environ | {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().splitlines()
    assert [line[:6] for line in lines] == ["<2>ts=", "<3>ts=", "<4>ts=", "<6>ts=", "<7>ts=", "<7>ts="]


def test_another_stream_gets_no_priorities() -> None:
    """The variable is inherited by programs whose standard error went elsewhere; only the stream counts."""
    done = program("log.info('x')", stderr=subprocess.PIPE, env=os.environ | {"JOURNAL_STREAM": "1:2"})
    assert done.stderr.startswith(b"ts=")


def test_a_closed_standard_error_harms_nobody(tmp_path: Path) -> None:
    """Lines are counted as lost, and none goes into the file that got its number."""
    other = tmp_path / "precious"
    body = f"""
import os
os.close(2)
precious = open({str(other)!r}, "w")
assert precious.fileno() == 2
sys.stderr = None
log.info("x")
log.error("y")
print(logs.lost, logs.error)
"""
    done = program(body, stdout=subprocess.PIPE)
    assert done.stdout == b"2 [Errno 9] Bad file descriptor\n"
    assert other.read_text() == ""


def test_a_full_pipe_that_does_not_block_is_waited_for() -> None:
    """Another program can make the stream we share non-blocking; lines are still whole."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    command = [
        sys.executable,
        "-c",
        _PROGRAM + "for n in range(2000): log.info('x' * 1000)\nprint(logs.lost)",
    ]
    with subprocess.Popen(command, stderr=writing, stdout=subprocess.PIPE) as running:
        os.close(writing)
        with os.fdopen(reading) as pipe:
            lines = pipe.read().splitlines()
        assert running.communicate(timeout=30)[0] == b"0\n"
    assert len(lines) == 2000
    assert {len(line) for line in lines} == {len(lines[0])}


def test_the_file_is_for_us_alone(start: Start, tmp_path: Path) -> None:
    """It is made with 0600 in folders of 0700, whatever the umask; one that is there keeps its mode."""
    before = os.umask(0)
    try:
        start(tmp_path / "a" / "b" / "log")
        (tmp_path / "there").write_text("")
        (tmp_path / "there").chmod(0o640)
        start(tmp_path / "there")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "b" / "log").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "there").stat().st_mode) == 0o640


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe", "device", "below a file", "too long"])
def test_what_is_no_file_is_refused(start: Start, tmp_path: Path, kind: str) -> None:
    """At once, without following or waiting, in a sentence with the key; the log before goes on."""
    logs = start()
    (tmp_path / "file").write_text("")
    path = tmp_path / "odd"
    if kind == "link":
        path.symlink_to(tmp_path / "file")
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nothing")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path(os.devnull)
    else:
        path = tmp_path / ("file" if kind == "below a file" else "x" * 300) / "log"
    with pytest.raises(ConfigError) as caught:
        start(path)
    assert caught.value.key == "log.file"
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "nothing").exists()
    say("still here")
    assert told(tmp_path / "logs" / "log") == ["still here"]
    assert logs.lost == 0


@pytest.mark.parametrize("made_anew", [True, False])
def test_a_renamed_file_is_followed(start: Start, tmp_path: Path, *, made_anew: bool) -> None:
    """Whether or not the rotation makes a new file, the next line goes to the name."""
    start()
    log, old = tmp_path / "logs" / "log", tmp_path / "logs" / "log.1"
    say("1")
    log.rename(old)
    if made_anew:
        log.touch(0o600)
    say("2")
    assert (told(old), told(log)) == (["1"], ["2"])


def test_a_truncated_file_goes_on_at_its_beginning(start: Start, tmp_path: Path) -> None:
    """After copy and truncation no hole of zeros is in front of the next line."""
    start()
    log = tmp_path / "logs" / "log"
    say("1")
    shutil.copy(log, tmp_path / "copy")
    os.truncate(log, 0)
    say("2")
    assert told(tmp_path / "copy", log) == ["1", "2"]


def test_a_folder_that_is_gone_costs_lines_and_nothing_else(start: Start, tmp_path: Path) -> None:
    """They are counted, and once the folder is back writing resumes and says how many are missing."""
    logs = start()
    say("1")
    shutil.rmtree(tmp_path / "logs")
    say("lost")
    say("lost")
    assert logs.lost == 2
    assert logs.error
    (tmp_path / "logs").mkdir()
    say("2")
    lines = [json.loads(line) for line in (tmp_path / "logs" / "log").read_text().splitlines()]
    assert [line["msg"] for line in lines] == ["2", "lines could not be written"]
    assert (lines[1]["event"], lines[1]["lost"]) == ("log.lost", 2)
    assert "No such file" in lines[1]["error"]
    assert (logs.lost, logs.error) == (2, None)


def test_a_folder_that_was_renamed_keeps_its_file(start: Start, tmp_path: Path) -> None:
    """As long as the open file has a name somewhere, lines go there rather than nowhere."""
    logs = start()
    (tmp_path / "logs").rename(tmp_path / "moved")
    say("1")
    assert told(tmp_path / "moved" / "log") == ["1"]
    assert logs.lost == 0


def test_a_link_put_in_the_files_place_is_not_followed(start: Start, tmp_path: Path) -> None:
    """Nobody else chooses what we append to."""
    start()
    log = tmp_path / "logs" / "log"
    log.rename(tmp_path / "old")
    (tmp_path / "victim").write_text("")
    log.symlink_to(tmp_path / "victim")
    say("1")
    assert (tmp_path / "victim").read_text() == ""
    assert told(tmp_path / "old") == ["1"]


def test_a_full_disk_costs_lines_and_nothing_else(
    start: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A line that broke off stays by itself; nothing is raised or printed, and writing resumes."""
    logs = start()
    log = tmp_path / "logs" / "log"
    say("whole")
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 30, limits[1]))
    try:
        say("broken off")
        say("lost")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    say("again")
    lines = log.read_text().splitlines()
    assert len(lines) == 4
    assert json.loads(lines[0])["msg"] == "whole"
    assert len(lines[1]) == 30
    assert json.loads(lines[2])["msg"] == "again"
    assert json.loads(lines[3])["lost"] == 2
    assert logs.lost == 2
    assert capfd.readouterr() == ("", "")


def storm(threads: int, each: int, meanwhile: Callable[[int], None]) -> list[str]:
    """Log from many threads while something happens again and again; return what was logged."""
    done = threading.Event()

    def writer(number: int) -> None:
        for count in range(each):
            say(f"{number}.{count} {'x' * (count % 700)}")

    def other() -> None:
        for turn in range(100_000):
            if done.wait(0.002):
                return
            meanwhile(turn)

    besides = threading.Thread(target=other)
    besides.start()
    writers = [threading.Thread(target=writer, args=(number,)) for number in range(threads)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    besides.join()
    return sorted(f"{n}.{count} {'x' * (count % 700)}" for n in range(threads) for count in range(each))


def test_rotation_by_rename_loses_nothing_in_a_storm(start: Start, tmp_path: Path) -> None:
    """Every line of many threads is in one of the files, whole and once, however often they are renamed."""
    logs = start()
    log = tmp_path / "logs" / "log"

    def rotate(turn: int) -> None:
        if log.exists():
            log.rename(tmp_path / "logs" / f"log.{turn}")
            if turn % 2:
                log.touch(0o600)

    logged = storm(8, 1000, rotate)
    files = list((tmp_path / "logs").iterdir())
    assert len(files) > 10
    assert sorted(told(*files)) == logged
    assert logs.lost == 0


def test_truncation_in_a_storm_tears_no_line(start: Start, tmp_path: Path) -> None:
    """What is still in the file is whole lines, without holes."""
    start()
    log = tmp_path / "logs" / "log"
    logged = set(storm(4, 1000, lambda _turn: os.truncate(log, 0)))
    say("last")
    messages = told(log)
    assert messages[-1] == "last"
    assert set(messages[:-1]) <= logged


def test_changing_the_file_in_a_storm_loses_nothing(start: Start, tmp_path: Path) -> None:
    """A reload that turns to another file and back, again and again, costs no line."""
    logs = start()
    files = [tmp_path / "logs" / "log", tmp_path / "other"]
    logged = storm(4, 1000, lambda turn: logs.apply(LogOptions("info", "json", files[turn % 2])))
    assert sorted(told(*files)) == logged


def test_files_are_closed(start: Start, tmp_path: Path) -> None:
    """Neither rotations nor set-ups leave descriptors behind."""
    start()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(20):
        (tmp_path / "logs" / "log").rename(tmp_path / f"log.{number}")
        say("x")
        start().apply(LogOptions("info", "json", tmp_path / f"other.{number}"))
        start()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
