"""Where a daemon keeps its files and listens."""

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sessionlib import locations
from sessionlib.locations import Locations, absolute, default_config_path, folders, locate


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, on any system as on Linux."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of whom the system knows no home."""

    def none(*_: object) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", none)


USUAL = "~/.local/state/sessiond"


@pytest.mark.parametrize(
    ("state", "runtime", "environ", "expected"),
    [
        (None, None, {}, (USUAL, f"{USUAL}/run")),
        (None, None, {"XDG_RUNTIME_DIR": "/run/user/1"}, (USUAL, "/run/user/1/sessiond")),
        (None, None, {"XDG_RUNTIME_DIR": "/run/user/1/"}, (USUAL, "/run/user/1/sessiond")),
        (None, None, {"XDG_STATE_HOME": "/s"}, ("/s/sessiond", "/s/sessiond/run")),
        (None, None, {"XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/r"}, ("/s/sessiond", "/r/sessiond")),
        (None, None, {"XDG_STATE_HOME": "s", "XDG_RUNTIME_DIR": "r"}, (USUAL, f"{USUAL}/run")),
        ("/own", None, {"XDG_RUNTIME_DIR": "/run/user/1"}, ("/own", "/own/run")),
        (USUAL, None, {"XDG_RUNTIME_DIR": "/r"}, (USUAL, "/r/sessiond")),
        (None, "/rt", {"XDG_RUNTIME_DIR": "/run/user/1"}, (USUAL, "/rt")),
        ("/own", "/rt", {}, ("/own", "/rt")),
    ],
)
def test_folders(
    home: Path, state: str | None, runtime: str | None, environ: dict[str, str], expected: tuple[str, str]
) -> None:
    """What is given wins; the runtime folder of the session is only for the user's one usual daemon."""

    def full(text: str | None) -> Path | None:
        return None if text is None else Path(text.replace("~", str(home)))

    found = locate(full(state), full(runtime), environ)
    assert (found.state_dir, found.runtime_dir) == (full(expected[0]), full(expected[1]))
    texts = folders(*(None if path is None else str(path) for path in (full(state), full(runtime))), environ)
    assert texts == (str(found.state_dir), str(found.runtime_dir))


def test_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a given environment the process's own counts."""
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/c")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert locate() == Locations(Path("/s/sessiond"), Path("/s/sessiond/run"))
    assert default_config_path() == Path("/c/sessiond/config.toml")


def test_files_in_the_folders() -> None:
    """Each file lies where the others look for it."""
    found = Locations(Path("/s"), Path("/r"))
    assert found.socket == Path("/r/control.sock")
    names = {found.status_file.name, found.lock_file.name, found.log_file.name, found.token_file.name}
    assert names == {"status.json", "sessiond.lock", "sessiond.log", "control-token"}
    assert {found.status_file.parent, found.lock_file.parent, found.log_file.parent} == {Path("/s")}
    assert found.token_file.parent == Path("/s")


def test_equality() -> None:
    """Two are equal when both folders are, and can be kept in a set."""
    one = Locations(Path("/s"), Path("/r"))
    assert one == Locations(Path("/s"), Path("/r"))
    assert len({one, Locations(Path("/s"), Path("/r"))}) == 1
    assert one != Locations(Path("/s"), Path("/x"))
    assert one != "/s"
    assert "/s" in repr(one)


def test_configuration_file(home: Path) -> None:
    """The usual place follows XDG, and a relative variable is ignored."""
    assert default_config_path({}) == home / ".config/sessiond/config.toml"
    assert default_config_path({"XDG_CONFIG_HOME": "relative"}) == home / ".config/sessiond/config.toml"


def test_macos(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There both lie where that system keeps such things."""
    monkeypatch.setattr(sys, "platform", "darwin")
    support = home / "Library" / "Application Support" / "sessiond"
    assert locate(environ={}).state_dir == support
    assert default_config_path({}) == support / "config.toml"


def test_absolute(home: Path, tmp_path: Path) -> None:
    """A home is expanded, a relative path made absolute, a link kept."""
    (tmp_path / "link").symlink_to("/")
    assert absolute("~/link") == home / "link"
    assert absolute(Path("a/../b")) == Path.cwd() / "b"
    with pytest.raises(RuntimeError, match="no home folder"):
        absolute("~nobody-we-know/x")


@pytest.mark.usefixtures("homeless")
def test_nobody_home() -> None:
    """Whoever has no home can still name the state folder; otherwise it is an error."""
    assert locate(Path("/s"), environ={"XDG_RUNTIME_DIR": "/run"}).runtime_dir == Path("/s/run")
    assert locate(environ={"XDG_STATE_HOME": "/s"}).state_dir == Path("/s/sessiond")
    with pytest.raises(RuntimeError, match="no home folder"):
        locate(environ={})
    with pytest.raises(RuntimeError, match="no home folder"):
        locate(runtime_dir=Path("/r"), environ={})
    with pytest.raises(RuntimeError, match="no home folder"):
        default_config_path({})


def test_import_is_cheap() -> None:
    """It brings in nothing that `python -c pass` has not: a status must be quick."""
    code = (
        "import sys, sessionlib; before = set(sys.modules); import sessionlib.locations; "
        "print(*sorted(set(sys.modules) - before - {'__future__'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["sessionlib.locations"]


def test_longest_socket_path() -> None:
    """The limit is the kernel's own: a socket of that length can be bound, one byte more cannot."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        for extra, fits in ((0, True), (1, False)):
            path = f"{folder}/".ljust(locations.SOCKET_PATH_MOST + extra, "x")
            with socket.socket(socket.AF_UNIX) as listener:
                if fits:
                    listener.bind(path)
                else:
                    with pytest.raises(OSError, match="too long"):
                        listener.bind(path)
