"""Files and folders the kernel does not let the daemon read: told in words, kept, and healed."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import builders
from tests.acceptance.conftest import StartDaemon
from tests.acceptance.gardens import Garden, Wait
from tests.acceptance.processes import Daemon, environment

pytestmark = pytest.mark.timeout(180)

_DROPPED = "--bounding-set=-dac_override,-dac_read_search,-fowner"


class WeakDaemon(Daemon):
    """A daemon that has only the rights a file's mode gives, even when the tests run as root."""

    @property
    def command(self) -> list[str]:
        """The command that starts it, without root's right to pass over modes."""
        own = super().command
        return ["setpriv", _DROPPED, "--", *own] if os.geteuid() == 0 else own


@pytest.fixture
def start_weak(tmp_path: Path) -> Iterator[StartDaemon]:
    """Start such a daemon; it is stopped, and the modes are mended, at the end of the test."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root needs setpriv to be refused anything")
    started: list[Daemon] = []

    def start(url: str, *roots: Path, options: tuple[str, ...] = ()) -> Daemon:
        environ = environment(url, tmp_path / "state")
        started.append(WeakDaemon(list(roots), environ, tmp_path / "daemon.log", list(options)))
        return started[-1].start()

    yield start
    for daemon in started:
        daemon.stop()
    mend(tmp_path / "code")


def mend(top: Path) -> None:
    """Open every folder and file below again."""
    top.chmod(0o755)
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IRWXU)


@pytest.fixture
def garden(tmp_path: Path, database_url: str, wait_until: Wait) -> Garden:
    """A project that is not mirrored yet."""
    return Garden(tmp_path, database_url, wait_until)


PARTS: dict[str, tuple[str, int, str]] = {
    "file": ("state.json", 0o000, "cannot read state.json: Permission denied"),
    "folder": (".", 0o000, "cannot look at the session: Permission denied"),
    "unlistable": (".", 0o100, "cannot read the session folder: Permission denied"),
    "impassable": (".", 0o400, "cannot look at the session: Permission denied"),
}
"""What is closed, how, and the words that say so."""


def test_closed_sessions_keep_their_rows(garden: Garden, start_weak: StartDaemon) -> None:
    """A file or a session folder that may not be read keeps the last good row, and heals when it may."""
    for slug in PARTS:
        garden.save(slug, "good")
    garden.start(start_weak)
    for slug, (part, mode, _) in PARTS.items():
        garden.save(slug, "unseen" if slug == "file" else "seen")
        (garden.root / slug / part).chmod(mode)
    rescan(garden)
    for slug, (_, _, words) in PARTS.items():
        garden.wait_for(lambda row, words=words: words in (row["error"] or ""), [slug], 30)
    assert {row["missing_since"] for row in garden.rows().values()} == {None}
    garden.check_alive()
    for slug, (part, _, _) in PARTS.items():
        (garden.root / slug / part).chmod(0o755)
        garden.save(slug, "mended")
    garden.wait_for(lambda row: row["error"] is None and row["topic"] == "mended", PARTS, 30)
    garden.check_alive()


def test_closed_extras_are_named(garden: Garden, start_weak: StartDaemon) -> None:
    """A plan, a run or the research folder that may not be read leaves the session good, and is named."""
    parts = {
        "plan": "plan.json",
        "run-state": "research/r1/state.json",
        "run": "research/r1",
        "runs": "research",
    }
    for slug in parts:
        garden.save(slug, "good", plan=builders.plan(4), research={"r1": builders.research_run()})
    garden.start(start_weak)
    for slug, part in parts.items():
        (garden.root / slug / part).chmod(0o000)
        garden.save(slug, "changed")
    garden.wait_for(lambda row: row["topic"] == "changed" and row["error"] is None, parts)
    garden.wait_for(lambda row: "cannot be read: Permission denied" in str(row["warnings"]), parts)
    for slug, part in parts.items():
        (garden.root / slug / part).chmod(0o755)
        garden.save(slug, "mended")
    garden.wait_for(lambda row: row["topic"] == "mended" and "denied" not in str(row["warnings"]), parts)
    garden.check_alive()


@pytest.mark.parametrize("mode", [0o000, 0o100, 0o400])
def test_closed_roots_lose_nothing(garden: Garden, start_weak: StartDaemon, mode: int) -> None:
    """A project or sessions root that may not be listed or passed loses no session, and opens again."""
    slugs = [f"s{number}" for number in range(4)]
    for slug in slugs:
        garden.save(slug, "good")
    garden.start(start_weak)
    for part in ("agents/sessions", "agents", "."):
        before = garden.topics(slugs)
        (garden.project / part).chmod(mode)
        for _ in range(2):
            garden.check_alive()
            rescan(garden)
        assert garden.topics(slugs) == before
        assert {row["missing_since"] for row in garden.rows().values()} == {None}
        (garden.project / part).chmod(0o755)
        for slug in slugs:
            garden.save(slug, f"mended {part}")
        garden.wait_for(
            lambda row, part=part: row["topic"] == f"mended {part}" and row["error"] is None, slugs, 30
        )


def rescan(garden: Garden) -> None:
    """Have everything compared now."""
    with garden.daemon.client as client:
        client.rescan()


def test_closed_when_the_daemon_starts(garden: Garden, start_weak: StartDaemon) -> None:
    """Projects and sessions closed from the start keep nobody waiting, and are taken in when they open."""
    make: dict[str, Callable[[], Path]] = {
        "project": lambda: builders.make_project(garden.code / "closed", ["project"]),
        "session": lambda: garden.save("session", "good"),
        "file": lambda: garden.save("file", "good") / "state.json",
    }
    closed = {slug: made() for slug, made in make.items()}
    for path in closed.values():
        path.chmod(0o000)
    garden.start(start_weak, ["neighbour"])
    garden.check_alive()
    assert set(garden.rows()) == {"neighbour"}
    for path in closed.values():
        path.chmod(0o755)
    rescan(garden)
    garden.wait_for(lambda row: row["error"] is None, closed, 30)
    garden.check_alive()
