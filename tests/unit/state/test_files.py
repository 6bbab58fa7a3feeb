"""Looking at and reading a session's inputs."""

import contextlib
import errno
import itertools
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from sessionlib.errors import StateInvalidError, StateNotFoundError, StateUnreadableError
from sessionlib.state import files, looks
from sessionlib.state.files import Look, Signature, look, read_inputs
from sessionlib.state.looks import signed64
from tests import builders


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A session with every kind of input."""
    return builders.make_session(
        tmp_path / "agents/sessions",
        "s1",
        {"topic": "t"},
        plan={"checkpoints": []},
        research={"r1": {"id": "r1"}, "r2": {"id": "r2"}},
    )


def seen(session_dir: Path, known: Look | None = None) -> Look:
    found = look(session_dir, known)
    assert found is not None
    return found


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, code: int, when: Callable[[str], bool]) -> None:
    """Make one function of os fail for the paths that match."""
    real = getattr(os, name)

    def failing(path, *args, **kwargs):
        if when(str(path)):
            raise OSError(code, os.strerror(code), str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, name, failing)


# --- looks ---------------------------------------------------------------------------------------


def test_unsigned_numbers_are_wrapped() -> None:
    """An inode beyond 2^63 fits a signed column, and two different ones stay different."""
    assert signed64(2**64 - 1) == -1
    assert signed64(2**63) == -(2**63)
    assert signed64(5) == 5
    big = SimpleNamespace(st_dev=2**64 - 1, st_ino=2**64 - 2, st_size=7, st_mtime_ns=-1, st_ctime_ns=8)
    assert Signature.of(big) == (-1, -2, 7, -1, 8)


def test_look_names_all_inputs_in_order(session: Path) -> None:
    """Plan, research folder, each run and its state file are there, sorted."""
    (session / "notes.md").write_text("not an input")
    names = [name for name, _ in seen(session).extras]
    assert names == [
        "plan.json",
        "research/",
        "research/r1/",
        "research/r1/state.json",
        "research/r2/",
        "research/r2/state.json",
    ]


def test_look_without_state_json_is_none(tmp_path: Path) -> None:
    """A folder, a missing folder and a file in its place are no session."""
    (tmp_path / "file").write_text("x")
    assert look(tmp_path) is None
    assert look(tmp_path / "gone") is None
    assert look(tmp_path / "file") is None


def test_known_look_opens_no_folder(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet session is compared by stats alone."""
    before = seen(session)
    refuse(monkeypatch, "scandir", errno.EMFILE, lambda _: True)
    assert seen(session, before) == before
    with pytest.raises(StateUnreadableError, match="Too many open files") as caught:
        look(session)
    assert caught.value.transient
    assert caught.value.session_dir == session


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda s: builders.write_json(s / "plan.json", {"checkpoints": [1]}), "plan.json"),
        (lambda s: builders.write_json(s / "research/r1/state.json", {"id": "x"}), "research/r1/state.json"),
        (lambda s: (s / "research/r3").mkdir(), "research/r3/"),
        (lambda s: (s / "research/r2/state.json").unlink(), "research/r2/"),
        (lambda s: (s / "research/r2/state.json").write_text("{}"), "research/r2/state.json"),
    ],
)
def test_known_look_sees_every_change(session: Path, change: Callable[[Path], object], name: str) -> None:
    """A change of any extra shows, with a known look as without."""
    before = seen(session)
    change(session)
    after = seen(session, before)
    assert after == seen(session)
    assert not after.same_inputs(before)
    assert dict(after.extras).get(name) != dict(before.extras).get(name)


def test_plan_that_appears_or_goes_is_seen(session: Path) -> None:
    """The folder's own time tells that an extra came or went."""
    (session / "plan.json").unlink()
    without = seen(session)
    assert "plan.json" not in dict(without.extras)
    builders.write_json(session / "plan.json", {})
    assert "plan.json" in dict(seen(session, without).extras)


def test_temp_and_lock_files_are_no_inputs(session: Path) -> None:
    """A new lock file moves the folder's time, and the inputs are still the same."""
    before = seen(session)
    (session / ".state.lock").touch()
    os.utime(session, ns=(1, 1))
    after = seen(session, before)
    assert after != before
    assert after.same_inputs(before)
    assert not after.same_inputs(None)


def test_swapped_folder_is_not_taken_for_the_known_one(session: Path) -> None:
    """Another folder with the same time in its place is looked at in full."""
    before = seen(session)
    stamp = session.stat().st_mtime_ns
    other = builders.make_session(session.parent, "other", {"topic": "o"})
    os.utime(other, ns=(stamp, stamp))
    session.rename(session.with_name("old"))
    other.rename(session)
    assert seen(session, before).extras == ()


def test_links_and_files_in_place_of_research_are_not_entered(tmp_path: Path) -> None:
    """A research folder or run that is a link is seen and never followed."""
    real = builders.make_session(tmp_path, "real", research={"r": {"id": "r"}})
    linked = builders.make_session(tmp_path, "linked")
    (linked / "research").symlink_to(real / "research")
    assert [name for name, _ in seen(linked).extras] == ["research/"]
    partly = builders.make_session(tmp_path, "partly", research={"own": {}})
    (partly / "research/foreign").symlink_to(real / "research/r")
    (partly / "research/.hidden").mkdir()
    assert [n for n, _ in seen(partly).extras] == ["research/", "research/own/", "research/own/state.json"]


def test_state_that_is_a_link_still_has_a_signature(tmp_path: Path) -> None:
    """The error of a linked state.json can be recorded with the link's own signature."""
    session = tmp_path / "s"
    session.mkdir()
    (tmp_path / "elsewhere").write_text("{}")
    (session / "state.json").symlink_to(tmp_path / "elsewhere")
    assert seen(session).state == Signature.of((session / "state.json").lstat())


def test_closed_research_folder_does_not_fail_the_look(
    session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permission denied on research leaves the research folder's own signature."""
    refuse(monkeypatch, "scandir", errno.EACCES, lambda path: path.endswith("research"))
    assert [name for name, _ in seen(session).extras] == ["plan.json", "research/"]


def test_closed_run_does_not_fail_the_look(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that may not be entered is known by its folder alone."""
    refuse(monkeypatch, "lstat", errno.EACCES, lambda path: path.endswith("r1/state.json"))
    names = dict(seen(session).extras)
    assert "research/r1/" in names
    assert "research/r1/state.json" not in names


def test_folders_that_vanish_under_the_look_are_left_out(
    session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Research that goes while it is listed is simply not there."""
    refuse(monkeypatch, "lstat", errno.ENOENT, lambda path: path.endswith("r1"))
    assert "research/r1/" not in dict(seen(session).extras)
    refuse(monkeypatch, "scandir", errno.ENOENT, lambda path: path.endswith("research"))
    assert [name for name, _ in seen(session).extras] == ["plan.json", "research/"]


# --- reading -------------------------------------------------------------------------------------


def test_reads_all_inputs(session: Path) -> None:
    """Bytes come verbatim, research sorted by id, and the look is the one to keep."""
    inputs = read_inputs(session)
    assert inputs.state == (session / "state.json").read_bytes()
    assert inputs.plan == (session / "plan.json").read_bytes()
    assert [name for name, _ in inputs.research] == ["r1", "r2"]
    assert inputs.research[0][1] == (session / "research/r1/state.json").read_bytes()
    assert inputs.problems == ()
    assert inputs.look == look(session)


def test_run_without_state_is_no_problem(session: Path) -> None:
    """A research folder that has only begun says nothing yet."""
    (session / "research/r0").mkdir()
    inputs = read_inputs(session)
    assert [name for name, _ in inputs.research] == ["r1", "r2"]
    assert inputs.problems == ()


def test_session_reached_through_a_link_is_read(session: Path, tmp_path: Path) -> None:
    """The folder itself may be reached through links."""
    link = tmp_path / "link"
    link.symlink_to(session)
    assert read_inputs(link).state == (session / "state.json").read_bytes()


def test_fresh_inputs_are_racy_and_settle(session: Path) -> None:
    """Just after a write a second one could hide; a while later it cannot."""
    builders.write_json(session / "plan.json", {})
    assert read_inputs(session).racy
    deadline = time.monotonic() + 5
    while read_inputs(session).racy:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_missing_session_is_not_found(tmp_path: Path) -> None:
    """No folder and no state.json are the same error, which names the folder."""
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(StateNotFoundError, match=r"no state\.json in") as caught:
            read_inputs(folder)
        assert caught.value.session_dir == folder


def make_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "a named pipe"),
        (make_link, "a symbolic link"),
        (Path.mkdir, "a folder"),
        (make_socket, "a socket"),
    ],
)
def test_state_that_is_no_file_is_refused_in_words(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    """What stands in place of state.json is named, and never opened."""
    make(tmp_path / "state.json")
    with pytest.raises(StateInvalidError, match=f"state.json is {words}, not a regular file") as caught:
        read_inputs(tmp_path)
    assert not caught.value.torn


def test_device_is_refused(tmp_path: Path) -> None:
    """A device node is named as such."""
    try:
        os.mknod(tmp_path / "state.json", 0o600 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")
    with pytest.raises(StateInvalidError, match="a device"):
        read_inputs(tmp_path)


def test_unknown_kinds_have_a_word() -> None:
    """A kind of file we never heard of is still no file."""
    assert files._kind(0) == "a special file"


def test_too_long_state_is_refused_with_the_numbers(tmp_path: Path) -> None:
    """A sparse file of a gigabyte costs nothing and says how long it is."""
    with (tmp_path / "state.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(StateInvalidError, match="1,073,741,824 bytes; at most 8,388,608"):
        read_inputs(tmp_path)
    builders.write_json(tmp_path / "state.json", b"12345")
    assert read_inputs(tmp_path, max_bytes=5).state == b"12345"
    with pytest.raises(StateInvalidError, match="5 bytes; at most 4"):
        read_inputs(tmp_path, max_bytes=4)


def test_bad_extras_are_problems_only(session: Path) -> None:
    """A plan that is a folder, a run that is a link: the session is read all the same."""
    (session / "plan.json").unlink()
    (session / "plan.json").mkdir()
    (session / "research/r1/state.json").unlink()
    os.mkfifo(session / "research/r1/state.json")
    inputs = read_inputs(session)
    assert inputs.plan is None
    assert [name for name, _ in inputs.research] == ["r2"]
    assert inputs.problems == (
        ("plan.json", "is a folder, not a regular file"),
        ("research/r1/state.json", "is a named pipe, not a regular file"),
    )


def test_research_that_is_a_link_is_a_problem(session: Path, tmp_path: Path) -> None:
    """A linked research folder is not followed, and says so."""
    (session / "research").rename(tmp_path / "elsewhere")
    (session / "research").symlink_to(tmp_path / "elsewhere")
    inputs = read_inputs(session)
    assert inputs.research == ()
    assert inputs.problems == (("research/", "is a symbolic link, not a folder"),)


def test_research_runs_share_one_allowance(session: Path) -> None:
    """All runs together may be as long as one state.json."""
    builders.write_json(session / "state.json", b"{}")
    builders.write_json(session / "plan.json", b"{}")
    for name in ("r1", "r2"):
        builders.write_json(session / "research" / name / "state.json", b"[12345678]")
    inputs = read_inputs(session, max_bytes=15)
    assert [name for name, _ in inputs.research] == ["r1"]
    assert inputs.problems == (("research/r2/state.json", "holds 10 bytes; at most 5 are read"),)


@pytest.mark.parametrize(
    ("part", "problem"),
    [("plan.json", "plan.json"), ("research", "research/"), ("r1", "research/r1/")],
)
def test_closed_extras_are_problems(
    session: Path, monkeypatch: pytest.MonkeyPatch, part: str, problem: str
) -> None:
    """Permission denied on an extra is noted beside the session."""
    refuse(monkeypatch, "open", errno.EACCES, lambda path: path == part)
    inputs = read_inputs(session)
    assert (problem, "cannot be read: Permission denied") in inputs.problems


@pytest.mark.parametrize("part", ["state.json", "plan.json", "research", "r2", "s1"])
def test_passing_errors_are_never_absence(session: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Out of descriptors while reading any part fails the reading as a whole."""
    refuse(monkeypatch, "open", errno.EMFILE, lambda path: Path(path).name == part)
    with pytest.raises(StateUnreadableError, match="Too many open files"):
        read_inputs(session)


def test_closed_state_is_unreadable(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission denied on state.json is the session's own error."""
    refuse(monkeypatch, "open", errno.EACCES, lambda path: path == "state.json")
    with pytest.raises(StateUnreadableError, match=r"cannot read state\.json: Permission denied"):
        read_inputs(session)


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


def test_look_at_is_quiet_about_extras_that_fail(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An I/O error while comparing known extras is not taken for a change."""
    before = seen(session)
    refuse(monkeypatch, "lstat", errno.EIO, lambda path: path.endswith("plan.json"))
    with pytest.raises(StateUnreadableError, match="Input/output error"):
        look(session, before)
    assert looks.signed64(0) == 0
