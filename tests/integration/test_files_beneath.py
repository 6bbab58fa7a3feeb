"""Files are read beneath their project, whatever its folders are swapped for meanwhile."""

import errno
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from sessionlib.errors import StateInvalidError, StateNotFoundError, StateUnreadableError
from sessionlib.state import beneath
from sessionlib.state.files import look, read_inputs
from tests import builders
from tests.swapping import exchange

INSIDE, OUTSIDE = b'{"topic": "inside"}', b'{"topic": "outside"}'
READS = 2000


@pytest.fixture(autouse=True, params=["openat2", "step by step"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of opening, one after the other."""
    if request.param == "step by step":
        monkeypatch.setattr(beneath, "_opener", lambda: beneath._step_by_step)
    elif beneath._opener() is beneath._step_by_step:
        pytest.skip("this kernel has no openat2")
    return str(request.param)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one session, and a copy of it outside with other content."""
    made = tmp_path / "garden"
    for place, content in ((made, INSIDE), (tmp_path / "outside", OUTSIDE)):
        builders.make_session(place / "agents/sessions", "one", content, research={"r1": content})
    return made


def session_of(project: Path) -> Path:
    return project / "agents/sessions/one"


def test_a_session_is_read_beneath_its_project(project: Path, tmp_path: Path) -> None:
    """All inputs are read, also when the project itself is reached through a link."""
    (tmp_path / "link").symlink_to(project)
    for top in (project, tmp_path / "link"):
        inputs = read_inputs(session_of(top), beneath=top)
        assert inputs.state == INSIDE
        assert inputs.research == (("r1", INSIDE),)


@pytest.mark.parametrize("part", ["agents", "agents/sessions", "agents/sessions/one"])
@pytest.mark.parametrize("target", ["outside", "inside", "dangling", "loop"])
def test_what_lies_behind_a_link_is_not_there(project: Path, part: str, target: str) -> None:
    """A folder on the way that is a link is as good as none, wherever it leads."""
    moved = project / "moved"
    (project / part).rename(moved)
    targets = {
        "outside": project.parent / "outside" / part,
        "inside": moved,
        "dangling": project / "nowhere",
        "loop": project / part,
    }
    (project / part).symlink_to(targets[target])
    with pytest.raises(StateNotFoundError):
        read_inputs(session_of(project), beneath=project)


def test_a_file_on_the_way_is_no_session(project: Path) -> None:
    """A file or a FIFO where a folder was is not waited for, and is no session."""
    for make in (Path.touch, os.mkfifo):
        session_of(project).rename(project / "kept")
        make(session_of(project))
        with pytest.raises(StateNotFoundError):
            read_inputs(session_of(project), beneath=project)
        session_of(project).unlink()
        (project / "kept").rename(session_of(project))


def test_only_what_lies_beneath_is_opened(project: Path, tmp_path: Path) -> None:
    """A path that leads elsewhere, or up again, is a mistake of the caller."""
    top = str(project)
    for folder in (str(tmp_path / "outside"), f"{top}/../outside", f"{top}x", f"{top}/a/..", f"{top}/\0"):
        with pytest.raises(ValueError, match="does not lie beneath"):
            beneath.open_beneath(top, folder)
    os.close(beneath.open_beneath(top, top))
    os.close(beneath.open_beneath("/", top))


def descriptors() -> int:
    """Return how many descriptors this process has open, where the system tells."""
    place = Path("/proc/self/fd")
    return len(list(place.iterdir())) if place.is_dir() else 0


def test_no_descriptor_is_left_open(project: Path) -> None:
    """Neither a read that works nor one that is refused keeps a descriptor."""
    (project / "link").symlink_to(project)
    before = descriptors()
    for _ in range(20):
        read_inputs(session_of(project), beneath=project)
        for bad in ("link/agents/sessions/one", "agents/nothing/one", "agents/sessions/one/state.json"):
            with pytest.raises(OSError, match=r".") as caught:
                beneath.open_beneath(str(project), str(project / bad))
            assert caught.value.errno in {errno.ENOENT, *beneath.LINK_ERRNOS}
    assert descriptors() == before


def swap_session(project: Path) -> Iterator[None]:
    """The session folder becomes a link to the copy outside, then a file, then itself again."""
    link, file = project / "link", project / "file"
    link.symlink_to(project.parent / "outside/agents/sessions/one")
    file.write_bytes(OUTSIDE)
    yield from _round(session_of(project), link, file)


def swap_root(project: Path) -> Iterator[None]:
    """The same with the folder above the sessions root."""
    link, file = project / "link", project / "file"
    link.symlink_to(project.parent / "outside/agents")
    file.write_bytes(OUTSIDE)
    yield from _round(project / "agents", link, file)


def swap_file(project: Path) -> Iterator[None]:
    """state.json becomes a link to the file outside, then a folder, then itself again."""
    link, folder = project / "link", project / "folder"
    link.symlink_to(project.parent / "outside/agents/sessions/one/state.json")
    folder.mkdir()
    yield from _round(session_of(project) / "state.json", link, folder)


def swap_research(project: Path) -> Iterator[None]:
    """The research folder, and in it a run, become links to those outside."""
    runs, run = project / "runs", project / "run"
    research = session_of(project) / "research"
    runs.symlink_to(project.parent / "outside/agents/sessions/one/research")
    run.symlink_to(project.parent / "outside/agents/sessions/one/research/r1")
    while True:
        for one, other in ((research, runs), (research / "r1", run)):
            exchange(one, other)
            yield
            exchange(one, other)
            yield


def _round(path: Path, *others: Path) -> Iterator[None]:
    while True:
        for other in others:
            exchange(path, other)
            yield
            exchange(path, other)
            yield


@pytest.mark.parametrize("swap", [swap_session, swap_root, swap_file, swap_research])
def test_nothing_from_outside_is_ever_read(project: Path, swap: Callable[[Path], Iterator[None]]) -> None:
    """While a thread swaps folders for links and files, every read gives the inside or an error."""
    stop = Event()
    swaps = swap(project)
    next(swaps)

    def keep_swapping() -> None:
        while not stop.is_set():
            next(swaps)

    thread = Thread(target=keep_swapping, daemon=True)
    thread.start()
    seen: Counter[str] = Counter()
    try:
        for number in range(READS * 20):
            seen[outcome(project)] += 1
            if number >= READS and len(seen) > 1:
                break
    finally:
        stop.set()
        thread.join(10)
    # Both were met, so that the two did race.
    assert seen["inside"] > 0
    assert len(seen) > 1


def outcome(project: Path) -> str:
    """Read once, and see that nothing came from outside."""
    try:
        inputs = read_inputs(session_of(project), beneath=project)
    except (StateNotFoundError, StateInvalidError, StateUnreadableError) as error:
        return type(error).__name__
    assert inputs.state == INSIDE
    assert all(data == INSIDE for _, data in inputs.research)
    return "inside" if inputs.research else "without research"


def test_a_link_in_place_of_a_session_is_not_looked_through(project: Path, tmp_path: Path) -> None:
    """A look at a link sees nothing unless links are to be followed."""
    link = tmp_path / "link"
    link.symlink_to(session_of(project))
    assert look(link) is None
    assert look(link, follow=True) == look(session_of(project))


@pytest.mark.skipif(sys.platform != "linux", reason="a sandbox of Linux")
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_a_sandbox_that_refuses_openat2_is_no_obstacle(project: Path, way: str, code: int) -> None:
    """Where the kernel or a filter refuses the call, the other way is taken."""
    if way != "openat2":
        pytest.skip("one process for both ways")
    arguments = [str(beneath._SYS_OPENAT2), str(code), str(project), str(session_of(project))]
    done = subprocess.run(
        [sys.executable, "-m", "tests.swapping", *arguments], capture_output=True, check=True, timeout=30
    )
    assert done.stdout.strip() == INSIDE
