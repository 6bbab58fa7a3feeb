"""How SQLite's file comes to be, and what goes before it does."""

import fcntl
import os
import time
from pathlib import Path
from threading import Thread

import pytest

from sessionlib.db import files
from sessionlib.errors import DatabaseBusyError, DatabaseUnavailableError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file will be."""
    return tmp_path / "state" / "mirror.db"


def beside(path: Path) -> list[Path]:
    """Return what SQLite keeps beside the file while it is open."""
    return [path.with_name(path.name + ending) for ending in ("-wal", "-shm")]


def test_it_is_nobody_elses(path: Path) -> None:
    """The file is 0600, in a folder that is 0700."""
    files.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_what_another_file_has_left_goes(path: Path) -> None:
    """A log and its index belong to the file that was taken away."""
    path.parent.mkdir()
    for other in beside(path):
        other.touch()
    files.create(path)
    assert list(path.parent.iterdir()) == [path]


def test_what_belongs_to_a_file_stays(path: Path) -> None:
    """A log beside a file that is there holds what was committed last."""
    files.create(path)
    path.write_bytes(b"kept")
    for other in beside(path):
        other.touch()
    files.create(path)
    assert path.read_bytes() == b"kept"
    assert all(other.exists() for other in beside(path))


def test_who_comes_second_takes_nothing_away(path: Path) -> None:
    """While one makes the file another waits; what is beside it then is the new file's."""
    path.parent.mkdir()
    folder = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    second = Thread(target=files.create, args=(path,))
    second.start()
    time.sleep(0.05)
    assert not path.exists()
    for made in (path, *beside(path)):
        made.touch()
    os.close(folder)
    second.join(10)
    assert not second.is_alive()
    assert all(other.exists() for other in beside(path))


def test_a_folder_that_stays_locked_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever for whoever holds it."""
    monkeypatch.setattr(files, "_PATIENCE", 0.05)
    path.parent.mkdir()
    folder = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with pytest.raises(DatabaseBusyError, match="has locked the folder"):
        files.create(path)
    os.close(folder)
    files.create(path)


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    """A sentence with the path, and what to do."""
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnavailableError) as caught:
        files.create(tmp_path / "file" / "mirror.db")
    assert str(tmp_path / "file" / "mirror.db") in caught.value.message
    assert caught.value.hint
