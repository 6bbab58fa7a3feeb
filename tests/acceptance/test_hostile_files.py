"""What is no file in the place of one, under the real daemon: the last good row stays, and heals."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import builders
from tests.acceptance.conftest import StartDaemon
from tests.acceptance.gardens import Garden, Wait
from tests.swapping import make_device, make_socket

pytestmark = pytest.mark.timeout(180)

Make = Callable[[Path], object]
SECRET = "words from outside"


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 100 * 1024 * 1024)


def _outside(path: Path) -> Path:
    """Return a good session outside the watched folder."""
    return path.parents[5] / "outside" / "good"


FILES: dict[str, tuple[Make, str]] = {
    "fifo": (os.mkfifo, "state.json is a named pipe, not a regular file"),
    "device": (make_device, "state.json is a device, not a regular file"),
    "socket": (make_socket, "state.json is a socket, not a regular file"),
    "folder": (Path.mkdir, "state.json is a folder, not a regular file"),
    "link-outside": (lambda path: path.symlink_to(_outside(path) / "state.json"), "symbolic link"),
    "link-inside": (lambda path: path.symlink_to("../fifo/spare.json"), "symbolic link"),
    "link-loop": (lambda path: path.symlink_to("state.json"), "symbolic link"),
    "link-dangling": (lambda path: path.symlink_to("nowhere"), "symbolic link"),
    "link-zero": (lambda path: path.symlink_to("/dev/zero"), "symbolic link"),
    "link-memory": (lambda path: path.symlink_to("/proc/self/mem"), "symbolic link"),
    "huge": (_sparse, "holds 104,857,600 bytes; at most"),
}
"""What stands in the place of a file, and the words that say so."""

FOLDERS: dict[str, Make] = {
    "fifo": os.mkfifo,
    "device": make_device,
    "socket": make_socket,
    "file": Path.touch,
    "link-outside": lambda path: path.symlink_to(_outside(path / "state.json")),
    "link-inside": lambda path: path.symlink_to("kept"),
    "link-loop": lambda path: path.symlink_to(path.name),
    "link-dangling": lambda path: path.symlink_to("nowhere"),
    "link-root": lambda path: path.symlink_to("/"),
}
"""What stands in the place of a folder."""


@pytest.fixture
def garden(tmp_path: Path, database_url: str, wait_until: Wait) -> Garden:
    """A project that is not mirrored yet, and a good session outside."""
    builders.make_session(tmp_path / "outside", "good", builders.v2(topic=SECRET), plan=builders.plan(4))
    return Garden(tmp_path, database_url, wait_until)


def check_nothing_from_outside(garden: Garden) -> None:
    """Nothing of the session outside is anywhere in the mirror."""
    assert garden.tell(f"SELECT 1 FROM documents WHERE CAST(body AS TEXT) LIKE '%{SECRET}%'") == []
    assert SECRET not in str(garden.rows())


def test_what_is_no_file_in_place_of_a_state(garden: Garden, start_daemon: StartDaemon) -> None:
    """Pipes, devices, links and giants named state.json keep the last good row, and heal."""
    for kind in FILES:
        garden.save(kind, "good")
    garden.start(start_daemon)
    for kind, (make, _) in FILES.items():
        (garden.root / kind / "state.json").rename(garden.root / kind / "spare.json")
        make(garden.root / kind / "state.json")
    for kind, (_, words) in FILES.items():
        garden.wait_for(lambda row, words=words: words in (row["error"] or ""), [kind])
    assert set(garden.topics(FILES).values()) == {"good"}
    garden.check_alive()
    for kind in FILES:
        path = garden.root / kind / "state.json"
        path.rmdir() if kind == "folder" else path.unlink()
        garden.save(kind, "mended")
    garden.wait_for(lambda row: row["error"] is None and row["topic"] == "mended", FILES)
    check_nothing_from_outside(garden)
    garden.check_alive()


def test_what_is_no_file_when_the_daemon_starts(garden: Garden, start_daemon: StartDaemon) -> None:
    """The same from the start: a copy with an error, no session, and a session when it is mended."""
    for kind, (make, _) in FILES.items():
        (garden.root / kind).mkdir(parents=True)
        make(garden.root / kind / "state.json")
    garden.save("one", "good")
    garden.start(start_daemon, ["one"])

    def errors() -> dict[str, str]:
        return dict(garden.tell("SELECT slug, error FROM session_files WHERE error IS NOT NULL"))

    garden.wait_until(lambda: set(errors()) == set(FILES), "the errors", 20)
    assert all(words in errors()[kind] for kind, (_, words) in FILES.items())
    assert not set(FILES) & set(garden.rows())
    garden.check_alive()
    for kind in FILES:
        shutil.rmtree(garden.root / kind)
        garden.save(kind, "mended")
    garden.wait_for(lambda row: row["error"] is None and row["topic"] == "mended", FILES)
    check_nothing_from_outside(garden)


def test_what_is_no_file_beside_a_state(garden: Garden, start_daemon: StartDaemon) -> None:
    """The same beside it, as plan, run or research folder: the session goes on, and names what is wrong."""
    wanted = {f"{part} {kind}": part for part in ("plan.json", "research/r1/state.json") for kind in FILES}
    folders = {f"{part} {kind}": part for part in ("research", "research/r1") for kind in FOLDERS}
    slugs = {name: name.replace("/", "-").replace(" ", "-") for name in (*wanted, *folders)}
    for slug in slugs.values():
        garden.save(slug, "good", plan=builders.plan(4), research={"r1": builders.research_run()})
    garden.start(start_daemon)
    for name, part in (*wanted.items(), *folders.items()):
        kind = name.rpartition(" ")[2]
        path = garden.root / slugs[name] / part
        path.rename(garden.root / slugs[name] / "spare.json")
        make = FILES[kind][0] if name in wanted else FOLDERS[kind]
        make(path)
        garden.save(slugs[name], "changed")
    garden.wait_for(lambda row: row["topic"] == "changed", slugs.values())
    for name, part in wanted.items():
        words = FILES[name.rpartition(" ")[2]][1].removeprefix("state.json ")
        garden.wait_for(
            lambda row, words=words, part=part: (
                words in str(row["warnings"]) and part in str(row["warnings"])
            ),
            [slugs[name]],
        )
    garden.wait_for(
        lambda row: "not a folder" in str(row["warnings"]),
        [slugs[n] for n, p in folders.items() if p == "research"],
    )
    assert {row["error"] for row in garden.rows().values()} == {None}
    garden.check_alive()
    for name, part in (*wanted.items(), *folders.items()):
        path = garden.root / slugs[name] / part
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        (garden.root / slugs[name] / "spare.json").rename(path)
    garden.wait_for(lambda row: str(row["warnings"]) in {"[]", "()"}, slugs.values())
    check_nothing_from_outside(garden)


def test_what_is_no_folder_in_place_of_a_session(garden: Garden, start_daemon: StartDaemon) -> None:
    """A session folder that becomes something else is gone after two looks, and comes back."""
    garden.save("kept", "good")
    for kind in FOLDERS:
        garden.save(kind, "good")
    garden.start(start_daemon)
    for kind, make in FOLDERS.items():
        (garden.root / kind).rename(garden.code.parent / kind)
        make(garden.root / kind)
    garden.wait_for(lambda row: row["missing_since"] is not None, FOLDERS, 30)
    assert set(garden.topics(FOLDERS).values()) == {"good"}
    garden.check_alive()
    for kind in FOLDERS:
        (garden.root / kind).unlink()
        (garden.code.parent / kind).rename(garden.root / kind)
    garden.wait_for(lambda row: row["missing_since"] is None and row["topic"] == "good", FOLDERS)
    assert garden.rows()["kept"]["missing_since"] is None
    check_nothing_from_outside(garden)
    garden.check_alive()


@pytest.mark.parametrize("part", ["agents", "agents/sessions"])
def test_what_is_no_folder_in_place_of_a_root(garden: Garden, start_daemon: StartDaemon, part: str) -> None:
    """A sessions root that becomes something else is missing, loses no session, and comes back."""
    slugs = [f"s{number}" for number in range(3)]
    for slug in slugs:
        garden.save(slug, "good")
    garden.start(start_daemon)
    outside = garden.code.parent / "outside"
    builders.make_project(outside / "other", {"s0": builders.v2(topic=SECRET)})
    kinds = {
        "outside": lambda path: path.symlink_to(outside / "other" / part),
        "parked": lambda path: path.symlink_to(garden.code.parent / "parked"),
    }
    for make in (*FOLDERS.values(), *kinds.values()):
        (garden.project / part).rename(garden.code.parent / "parked")
        make(garden.project / part)
        garden.wait_until(
            lambda: garden.tell("SELECT 1 FROM workspaces WHERE missing_since IS NOT NULL"), "the mark", 20
        )
        garden.check_alive()
        (garden.project / part).unlink()
        (garden.code.parent / "parked").rename(garden.project / part)
        garden.wait_until(
            lambda: not garden.tell("SELECT 1 FROM workspaces WHERE missing_since IS NOT NULL"),
            "its return",
            20,
        )
    garden.wait_for(lambda row: row["missing_since"] is None and row["error"] is None, slugs)
    garden.save("s0", "after")
    garden.wait_for(lambda row: row["topic"] == "after", ["s0"])
    assert len(garden.tell("SELECT 1 FROM projects")) == 2
    check_nothing_from_outside(garden)
