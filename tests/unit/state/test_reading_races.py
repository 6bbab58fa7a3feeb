"""Inputs that change while they are read: nothing torn is passed off as whole."""

import contextlib
import errno
import itertools
import os
import threading
import time
from pathlib import Path

import pytest

from sessionlib.errors import StateInvalidError
from sessionlib.state import files
from sessionlib.state.files import read_inputs
from tests import builders
from tests.refusals import refuse
from tests.states import inputs_fixture, seen  # noqa: F401 - fixtures


def test_fresh_inputs_are_racy_and_settle(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Just after a write a second one could hide; a while later it cannot."""
    builders.write_json(session / "plan.json", {})
    with monkeypatch.context() as patch:
        patch.setattr(files, "RACY_NS", 30 * 10**9)
        assert read_inputs(session).racy
    deadline = time.monotonic() + 5
    while read_inputs(session).racy:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("part", "code"),
    [
        *itertools.product(["state.json", "plan.json", "research", "r1"], [errno.ENOENT, errno.ELOOP]),
        ("s1", errno.ENOENT),  # the folder itself may be reached through links
    ],
)
def test_parts_that_move_make_it_start_over(
    session: Path, monkeypatch: pytest.MonkeyPatch, part: str, code: int
) -> None:
    """A part that is swapped between look and opening is read again, and then it works."""
    failures = [part]
    refuse(
        monkeypatch,
        "open",
        code,
        lambda path: Path(path).name == part and bool(failures) and failures.pop() == part,
    )
    inputs = read_inputs(session)
    assert not failures
    assert inputs.problems == ()
    assert len(inputs.research) == 2


def test_parts_that_vanish_before_the_stat_make_it_start_over(
    session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for a part that goes before it is even opened."""
    failures = ["plan.json"]
    refuse(monkeypatch, "stat", errno.ENOENT, lambda path: path in failures and bool(failures.pop()))
    assert read_inputs(session).plan is not None


def test_steady_movement_ends_as_torn(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few attempts it gives up, with the mark that a second look is worth it."""
    real = files._read_all

    def grow(fd: int, size: int) -> bytes:
        with (session / "state.json").open("ab") as file:
            file.write(b" ")
        return real(fd, size)

    monkeypatch.setattr(files, "_read_all", grow)
    with pytest.raises(StateInvalidError, match="kept changing") as caught:
        read_inputs(session)
    assert caught.value.torn


def test_change_after_reading_is_noticed(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra that appears once all files are read is not missed."""
    real = files._Reading
    added: list[Path] = []

    class Late(real):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            if not added:
                added.append(session / "research/r9")
                added[0].mkdir()

    monkeypatch.setattr(files, "_Reading", Late)
    assert "research/r9/" in dict(read_inputs(session).look.extras)


def test_same_size_write_between_look_and_open_is_noticed(
    session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file replaced by one of the same size between look and open is not passed off as the one seen."""
    real = os.open
    replaced: list[Path] = []

    def swapping(path, *args, **kwargs):
        if path == "state.json" and not replaced:
            replaced.append(builders.write_json(session / "state.json", b"{}"))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", swapping)
    assert read_inputs(session).state == b"{}"


def test_atomic_writer_is_never_read_torn(session: Path) -> None:
    """Beside a writer that replaces the file, each reading is one of its versions whole."""
    versions = [builders.v2(topic="x" * length) for length in (10, 5_000, 200)]
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            builders.write_json(session / "state.json", versions[turn % 3])
            turn += 1
            time.sleep(0.0005)

    builders.write_json(session / "state.json", versions[0])
    writer = threading.Thread(target=write)
    writer.start()
    try:
        lengths = set()
        for _ in range(200):
            with contextlib.suppress(StateInvalidError):  # it never held still
                lengths.add(len(read_inputs(session).state))
    finally:
        stop.set()
        writer.join()
    written = set()
    for version in versions:
        written.add(len(builders.write_json(session / "state.json", version).read_bytes()))
    assert lengths <= written
