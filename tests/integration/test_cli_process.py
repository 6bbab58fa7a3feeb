"""The real program in a process of its own: pipes, terminals, signals, two at once."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sessionlib import __version__
from tests import builders
from tests.ctl import Ctl, ctl_fixture, mirrored_fixture  # noqa: F401 - fixtures

PROGRAM = str(Path(sys.executable).parent / "sessionctl")


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False, timeout=50)


def test_the_program_is_installed() -> None:
    """`sessionctl` on the path answers with its version."""
    done = _run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"sessionctl {__version__}\n", "")


def test_the_program_asks_and_fails_like_the_function(mirrored: Ctl) -> None:
    """Output, errors and exit codes reach the shell."""
    done = _run("sessions", "--phase", "build", "--json")
    assert done.returncode == 0
    assert {row["slug"] for row in json.loads(done.stdout)["rows"]} == {"half-built", "all-built", "wall"}
    assert _run("sessions").stdout == mirrored("sessions").out
    done = _run("query", "commt")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "sessionctl: there is no query named 'commt'\n  hint: did you mean: commit?\n"


def test_a_reader_that_leaves_early_is_no_error(mirrored: Ctl) -> None:
    """`sessionctl … | head` ends quietly, as other programs do."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [PROGRAM, "sessions", "--json"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
    assert mirrored.code.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [["sessions"], ["show", "half-built", "--json"]], ids=" ".join)
def test_a_full_disk_is_one_sentence(mirrored: Ctl, words: list[str]) -> None:
    """When the answer cannot be written, the command says why and ends with 1."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        "sessionctl: cannot write the answer: No space left on device",
        "  hint: look at where standard output leads",
    ]
    assert "unexpected" not in done.stderr
    assert mirrored.code.exists()


def test_a_terminal_of_another_encoding_is_no_error(mirrored: Ctl) -> None:
    """What the terminal's encoding lacks is escaped, and JSON is plain ASCII there."""
    builders.make_session(mirrored.code / "garden/agents/sessions", "jp", builders.v2(topic="日本"))
    mirrored("sync")
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [PROGRAM, "sessions", "--text", "jp"], capture_output=True, check=True, env=environment
    )
    assert b"\\u65e5\\u672c" in done.stdout
    done = subprocess.run(
        [PROGRAM, "show", "jp", "--document", "--json"], capture_output=True, check=True, env=environment
    )
    assert json.loads(done.stdout.decode("ascii"))["rows"][0]["topic"] == "日本"


def _on_terminal(words: Iterable[str], typed: bytes = b"") -> tuple[int, str]:
    """Run the program with a terminal on all its streams; return exit code and what was shown."""
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    child, terminal = pty.fork()
    if child == 0:
        os.execve(PROGRAM, [PROGRAM, *words], environment | {"TERM": "xterm-256color", "COLUMNS": "160"})
    shown = b""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                part = os.read(terminal, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
            if typed and b"[y/N]" in shown:
                os.write(terminal, typed)
                typed = b""
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_people_at_a_terminal_get_a_table(mirrored: Ctl) -> None:
    """On a terminal there are colours and a dim last line; hostile words in a topic are spelled out."""
    evil = builders.v2(topic="\x1b[41mX\x1b[0m [red]y[/red]")
    builders.make_session(mirrored.code / "garden/agents/sessions", "evil", evil)
    code, shown = _on_terminal(["sync"])
    assert (code, "1 written" in shown) == (0, True)
    code, shown = _on_terminal(["sessions"])
    assert code == 0
    assert "\x1b[1m" in shown
    assert "\\x1b[41mX\\x1b[0m [red]y[/red]" in shown
    assert "\x1b[41m" not in shown
    assert "\x1b[2mas of " in shown.splitlines()[-1]
    code, shown = _on_terminal(["--no-color", "show", "wall"])
    assert (code, "2 commits" in shown, "\x1b[3" in shown) == (0, True, False)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_people_at_a_terminal_are_asked(mirrored: Ctl) -> None:
    """Removing a project asks, and does what was typed."""
    code, shown = _on_terminal(["projects", "remove", "garden"], b"n\n")
    assert (code, "nothing was changed" in shown) == (1, True)
    code, shown = _on_terminal(["projects", "remove", "garden"], b"y\n")
    assert (code, "removed garden and 1 mirrored session" in shown) == (0, True)
    assert [row["slug"] for row in mirrored.json("projects")] == ["shop"]


def test_two_syncs_at_once_do_no_harm(ctl: Ctl) -> None:
    """Several processes that sync the same new folders mirror every session once."""
    for number in range(3):
        ctl.project(f"p{number}", dict.fromkeys(f"s{each}" for each in range(10)))
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: _run("sync", str(ctl.code)), range(3)))
    assert [(one.returncode, one.stderr[:6]) for one in done] == [(0, "as of ")] * 3, done
    assert len(ctl.json("sessions")) == 30
    assert len(ctl.json("projects")) == 3
    (counted,) = ctl.json("db", "check")
    assert (counted["tables"]["session_versions"], counted["tables"]["session_files"]) == (30, 30)


def test_an_interrupt_ends_at_once(mirrored: Ctl) -> None:
    """Ctrl-C while waiting ends with 130, without a traceback and without waiting any longer."""
    (mirrored.code / "garden/agents/sessions/wall/state.json").unlink()
    process = subprocess.Popen(
        [PROGRAM, "sync", "--confirm"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "")
    assert time.monotonic() - began < 3
