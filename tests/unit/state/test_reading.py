"""Reading a session's inputs: what is read, what is refused, and in which words."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionlib.errors import StateInvalidError, StateNotFoundError, StateUnreadableError
from sessionlib.state import files
from sessionlib.state.files import look, read_inputs
from tests import builders
from tests.refusals import refuse
from tests.states import inputs_fixture  # noqa: F401 - fixtures


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
    with pytest.raises(StateInvalidError, match="1,073,741,824 bytes; at most 2,097,152"):
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


def test_all_inputs_share_one_allowance(session: Path) -> None:
    """What state.json takes is not left for the plan, what the plan takes not for the research runs."""
    builders.write_json(session / "state.json", b"{}")
    builders.write_json(session / "plan.json", b"{}")
    for name in ("r1", "r2"):
        builders.write_json(session / "research" / name / "state.json", b"[12345678]")
    inputs = read_inputs(session, max_bytes=19)
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


def test_error_of_closing_is_none_of_reading(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is whole, whatever the system says when files and folders are closed."""
    expected = read_inputs(session)
    real = os.close

    def failing(fd: int) -> None:
        real(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "close", failing)
    inputs = read_inputs(session)
    assert (inputs.state, inputs.plan, inputs.research) == (expected.state, expected.plan, expected.research)
