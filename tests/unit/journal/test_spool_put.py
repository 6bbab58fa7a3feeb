"""Deliveries that no hook has made: written as the hook writes, under its limits."""

import os
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sessionlib.hooks import entry
from sessionlib.journal import spool as journal_spool
from sessionlib.journal.spool import Spool, SpoolFullError
from sessionlib.models import utc_now

BODY = b'{"session_id": "s"}\n\nwith an empty line\x00'


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A spool whose folder is not there yet."""
    return Spool(tmp_path / "state" / "spool")


def only(spool: Spool) -> str:
    """Return the name of the one delivery that waits."""
    (name,) = spool.names(10)
    return name


def test_what_is_put_is_read_again(spool: Spool) -> None:
    """All of it, with the time at which it was put."""
    before = utc_now() - timedelta(milliseconds=1)
    spool.put("claude-code", "telemetry", BODY)
    found = spool.read(only(spool))
    assert (found.client, found.event, found.body) == ("claude-code", "telemetry", BODY)
    assert (found.size, found.cut, dict(found.context)) == (len(BODY), None, {})
    assert before <= found.at <= utc_now()
    assert spool.oldest() == found.at


def test_it_can_have_been_made_before(spool: Spool) -> None:
    """Then it is read before what came meanwhile."""
    at = datetime(2026, 11, 21, 18, 55, 26, 141001, tzinfo=UTC)
    spool.put("c", "late", b"2")
    spool.put("c", "early", b"1", at)
    first, _ = (spool.read(name) for name in spool.names(10))
    assert (first.event, first.at) == ("early", at)


def test_it_is_the_owners_alone_and_weighs_what_it_says(spool: Spool) -> None:
    """Mode 0600 whatever the umask, nothing half written beside it, and its size in its name."""
    before = os.umask(0)
    try:
        spool.put("c", "e", BODY)
    finally:
        os.umask(before)
    path = spool.inbox / only(spool)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.inbox.stat().st_mode) == 0o700
    assert spool.waiting() == (1, path.stat().st_size)
    assert list((spool.folder / "tmp").iterdir()) == []


def test_it_looks_as_if_a_hook_had_made_it(spool: Spool, tmp_path: Path) -> None:
    """The same header but for the process, and a name of the same form."""
    other = Spool(tmp_path / "other")
    command = [sys.executable, "-I", "-S", str(entry.__file__), "--spool", str(other.folder), "E"]
    subprocess.run(command, input=BODY, env={}, timeout=20, check=True)
    spool.put("claude-code", "E", BODY)
    heads = [
        [line.split(b": ")[0] for line in (one.inbox / only(one)).read_bytes().split(b"\n\n")[0].split(b"\n")]
        for one in (other, spool)
    ]
    heads[0].remove(b"pid")
    assert heads[0] == heads[1]
    forms = ["".join("9" if letter.isalnum() else letter for letter in only(one)) for one in (other, spool)]
    assert forms[0].split(".")[0] == forms[1].split(".")[0]
    assert forms[0].count(".") == forms[1].count(".")


def test_a_header_holds_no_lines_but_its_own(spool: Spool) -> None:
    """Whatever a name holds."""
    spool.put("c\nevent: x", "e\r\n\nsize: 9", b"body")
    head, _, body = (spool.inbox / only(spool)).read_bytes().partition(b"\n\n")
    assert (head.count(b"\n"), body) == (3, b"body")
    assert spool.read(only(spool)).size == 4


def test_the_limits_are_those_of_the_hook() -> None:
    """Neither module can import the other."""
    assert (journal_spool.MOST_FILES, journal_spool.MOST_BYTES) == (entry.MOST_FILES, entry.MOST_BYTES)


def test_a_full_spool_takes_no_more(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many files or too many bytes: nothing is written until there is room."""
    monkeypatch.setattr(journal_spool, "MOST_FILES", 2)
    spool.put("c", "1", b"")
    spool.put("c", "2", b"")
    with pytest.raises(SpoolFullError, match=r"2 deliveries with [0-9]+ bytes wait"):
        spool.put("c", "3", b"")
    spool.done(spool.names(1)[0])
    spool.put("c", "4", b"")
    monkeypatch.setattr(journal_spool, "MOST_FILES", 100)
    monkeypatch.setattr(journal_spool, "MOST_BYTES", spool.waiting()[1] + 100)
    with pytest.raises(SpoolFullError):
        spool.put("c", "5", b"x" * 100)
    spool.put("c", "6", b"x" * 99)
    assert [spool.read(name).event for name in spool.names(10)] == ["2", "4", "6"]


def test_what_cannot_be_written_leaves_nothing(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the system's; no half of a delivery stays behind."""
    spool.prepare()
    real = Path.rename

    def fail(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="No space left"):
        spool.put("c", "e", BODY)
    monkeypatch.setattr(Path, "rename", real)
    assert list((spool.folder / "tmp").iterdir()) == []
    assert spool.names(10) == []
    in_the_way = Spool(spool.folder / "tmp" / "file")
    in_the_way.folder.write_text("in the way")
    with pytest.raises(OSError):
        in_the_way.put("c", "e", BODY)


def test_many_threads_lose_nothing(spool: Spool) -> None:
    """Each delivery is a file of its own."""
    threads = [threading.Thread(target=spool.put, args=("c", str(one), b"x")) for one in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {spool.read(name).event for name in spool.names(100)} == set(map(str, range(20)))


def test_of_what_was_put_aside_the_latest_are_kept(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that goes wrong for weeks does not fill the disk."""
    monkeypatch.setattr("sessionlib.journal.spool.MOST_BURIED", 3)
    for number in range(5):
        spool.put("claude-code", "E", b"{}", datetime(2026, 1, 1, 0, number, tzinfo=UTC))
    names = spool.names(10)
    for name in names:
        spool.bury(name)
    assert (spool.names(10), spool.buried()) == ([], names[2:])


def test_what_is_dropped_is_counted_as_by_a_hook(spool: Spool) -> None:
    """One byte each, beside those of hooks that found no room at all."""
    spool.put("claude-code", "E", b"{}")
    (spool.folder / "dropped").write_bytes(b"..")
    spool.drop(spool.names(1)[0])
    assert (spool.names(10), spool.buried(), spool.dropped()) == ([], [], 3)
