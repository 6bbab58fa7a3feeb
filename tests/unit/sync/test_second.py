"""The second process: started early, and given up where there is nothing for it to do."""

import errno
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sessionlib.sync import piping
from sessionlib.sync.second import SecondProcess, may_be_many

HEAVY = ("sqlalchemy", "orjson", "psycopg")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list["subprocess.Popen[bytes]"]:
    """The processes that were started, on a machine with two cores."""
    found: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def noted(*args: object, **more: object) -> "subprocess.Popen[bytes]":
        found.append(popen(*args, **more))  # type: ignore[call-overload]
        return found[-1]

    monkeypatch.setattr(piping.subprocess, "Popen", noted)
    monkeypatch.setattr(piping, "has_two_cores", lambda: True)
    return found


def test_one_that_was_not_used_ends_at_once(started: list["subprocess.Popen[bytes]"]) -> None:
    """It is killed in the middle of its imports, and waited for; ending twice does no harm."""
    with closing(SecondProcess()) as process:
        process.start()
        process.start()
        assert started[0].poll() is None
        process.close()
        assert started[0].returncode is not None
        assert process.connections() is None
    assert len(started) == 1


def test_one_that_was_used_ends_with_its_requests(started: list["subprocess.Popen[bytes]"]) -> None:
    """It sees that nobody will ask any more, and ends by itself."""
    with closing(SecondProcess()) as process:
        process.start()
        both = process.connections()
        assert both is not None
        assert process.connections() is None
        both[0].close()
        started[0].wait(10)
        both[1].close()
    assert started[0].returncode == 0


def test_none_is_started_where_it_is_of_no_use(
    started: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not on one core, nor where nobody starts it."""
    with closing(SecondProcess()) as process:
        assert process.connections() is None
    monkeypatch.setattr(piping, "has_two_cores", lambda: False)
    with closing(SecondProcess()) as process:
        process.start()
        assert process.connections() is None
    assert started == []


def test_a_refused_one_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who may have no more processes still gets an answer."""

    def refused(*_args: object, **_more: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(piping.subprocess, "Popen", refused)
    with closing(SecondProcess()) as process:
        process.start()
        assert process.connections() is None


def test_small_files_are_told_from_what_may_be_large(tmp_path: Path) -> None:
    """A SQLite file of some thousand sessions is large; of a server nothing is known before it is asked."""
    path = tmp_path / "mirror.db"
    url = f"sqlite:///{path}"
    assert not may_be_many(url)
    path.touch()
    assert not may_be_many(url)
    os.truncate(path, 64 << 20)
    assert may_be_many(url)
    assert may_be_many("postgresql://somewhere/mirror")
    assert not may_be_many("sqlite:///a\0b")


def test_one_without_descriptors_is_done_without(
    started: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no descriptors are left for its pipes, it ends by itself."""

    def refused(_descriptor: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with closing(SecondProcess()) as process:
        process.start()
        monkeypatch.setattr(piping.os, "dup", refused)
        assert process.connections() is None
        assert started[0].wait(10) == 0


EARLY = f"""
import os, sys
from sessionlib.cli.entry import main
from sessionlib.sync import piping
def start(module):
    print(module, [name for name in {HEAVY} if name in sys.modules], flush=True)
    os._exit(0)
piping.start, piping.has_two_cores = start, lambda: True
main()
"""


@pytest.mark.parametrize("verb", ["verify", "rebuild"])
def test_it_is_started_before_what_it_imports_itself(tmp_path: Path, verb: str) -> None:
    """Its start is of no use if it waits for the very imports that the process itself has to do."""
    environment = {
        "HOME": str(tmp_path),
        "SESSIOND_CONFIG": "",
        "SESSIOND_DATABASE_URL": "postgresql://nowhere/",
    }
    done = subprocess.run(
        [sys.executable, "-c", EARLY, verb], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "sessionlib.sync.checking []"
