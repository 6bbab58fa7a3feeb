"""The control socket's birth: private from its first moment, and never in the place of somebody else's."""

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiond.control.birth import Born, bear, bind_loopback
from sessionlib.errors import ConfigError, InstanceLockedError
from sessionlib.locations import SOCKET_PATH_MOST


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="ctl") as made:
        yield Path(made)


@pytest.fixture
def path(folder: Path) -> Path:
    """Where the socket shall be; its folder does not exist yet."""
    return folder / "run" / "control.sock"


def end(born: Born) -> None:
    """Close and remove a socket."""
    born.listener.close()
    born.bury()


def names(folder: Path) -> list[str]:
    """Return what a folder holds."""
    return [entry.name for entry in folder.iterdir()]


def refused(path: Path) -> ConfigError:
    """Return why a socket cannot be born."""
    with pytest.raises(ConfigError) as caught:
        bear(path)
    assert caught.value.exit_code == 78
    return caught.value


def test_it_listens_at_its_path_for_its_owner_only(path: Path) -> None:
    """The folder is made 0700, the socket is 0600 whatever the umask, and nothing else is left there."""
    before = os.umask(0)
    try:
        born = bear(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    seen = path.lstat()
    assert (stat.S_ISSOCK(seen.st_mode), stat.S_IMODE(seen.st_mode)) == (True, 0o600)
    assert names(path.parent) == ["control.sock"]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    end(born)
    assert names(path.parent) == []


def test_the_umask_of_the_process_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other threads make files meanwhile; their modes must not depend on this."""

    def forbidden(_: int) -> int:
        pytest.fail("the umask was changed")

    monkeypatch.setattr(os, "umask", forbidden)
    end(bear(path))


def test_a_socket_nobody_listens_to_is_replaced(path: Path) -> None:
    """What a killed daemon has left behind is no hindrance."""
    bear(path).listener.close()
    assert path.is_socket()
    born = bear(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    end(born)


def test_a_socket_somebody_listens_to_is_refused(path: Path) -> None:
    """A living daemon keeps its socket, also when its queue of connections is full."""
    born = bear(path)
    with pytest.raises(InstanceLockedError, match="another process listens") as caught:
        bear(path)
    assert caught.value.exit_code == 75
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    born.listener.listen(0)
    waiting = []
    while len(waiting) < 500:
        client = socket.socket(socket.AF_UNIX)
        waiting.append(client)
        client.setblocking(False)
        try:
            client.connect(str(path))
        except BlockingIOError:
            break
    with pytest.raises(InstanceLockedError):
        bear(path)
    for client in waiting:
        client.close()
    end(born)


@pytest.mark.parametrize("kind", ["file", "folder", "link", "fifo"])
def test_what_is_no_socket_is_never_removed(path: Path, kind: str) -> None:
    """Somebody's file in the socket's place stays, and the refusal names it."""
    path.parent.mkdir(mode=0o700)
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        os.mkfifo(path)
    error = refused(path)
    assert f"{path} is in the control socket's place and is no socket" in error.message
    assert names(path.parent) == ["control.sock"]
    assert not path.is_socket()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o702, 0o777])
def test_a_folder_that_others_can_enter_is_refused(path: Path, mode: int) -> None:
    """The hint is the command that mends it; the folder itself is left as it is."""
    path.parent.mkdir()
    path.parent.chmod(mode)
    error = refused(path)
    assert f"is open to others (mode {mode:04o})" in error.message
    assert error.hint == f"chmod 700 {path.parent}"
    assert stat.S_IMODE(path.parent.stat().st_mode) == mode


def test_nobody_is_told_to_close_a_folder_of_everybody(path: Path) -> None:
    """The mode of /tmp is meant so; the hint is another folder."""
    path.parent.mkdir()
    path.parent.chmod(0o1777)
    error = refused(path)
    assert "is open to others (mode 1777)" in error.message
    assert "chmod" not in str(error.hint)
    assert "daemon.runtime_dir" in str(error.hint)


def test_a_linked_folder_is_refused(folder: Path) -> None:
    """Who can change the link could lead our clients elsewhere."""
    (folder / "real").mkdir(mode=0o700)
    (folder / "run").symlink_to("real")
    assert "is a symbolic link" in refused(folder / "run" / "control.sock").message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(path: Path) -> None:
    """Its owner could put another socket there."""
    path.parent.mkdir(mode=0o700)
    os.chown(path.parent, 65534, 65534)
    assert "belongs to another user (uid 65534)" in refused(path).message


def test_a_file_in_place_of_the_folder_is_refused(folder: Path) -> None:
    """The system's words are in the sentence."""
    (folder / "run").write_text("")
    assert "cannot be made: File exists" in refused(folder / "run" / "control.sock").message


def test_a_path_too_long_for_a_socket_is_refused(folder: Path) -> None:
    """The sentence says how long it may be, and the hint names the setting."""
    deep = folder / ("d" * 60) / ("e" * 40) / "control.sock"
    error = refused(deep)
    assert f"{len(str(deep))} bytes long; the system takes {SOCKET_PATH_MOST}" in error.message
    assert "daemon.runtime_dir" in str(error.hint)
    assert not deep.parent.parent.exists()


def test_the_longest_path_works(folder: Path) -> None:
    """A path of just the length that the system takes is taken."""
    room = SOCKET_PATH_MOST - len(str(folder)) - 2
    path = folder / ("d" * (room - 12)) / "control.sock"
    assert len(str(path)) == SOCKET_PATH_MOST
    end(bear(path))


def test_the_file_of_another_is_not_buried(path: Path) -> None:
    """A daemon that ends late leaves alone what its successor has put in its place."""
    old = bear(path)
    old.listener.close()
    new = bear(path)
    old.bury()
    assert path.is_socket()
    end(new)
    new.bury()


def test_a_port_that_is_taken_is_refused() -> None:
    """The sentence names address and port."""
    with bind_loopback("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            bind_loopback("127.0.0.1", port)
    assert f"127.0.0.1 port {port} cannot be listened on" in caught.value.message
    assert caught.value.hint == "another program has this port; name another"
