"""Configuration: what settings must be to each other."""

from pathlib import Path

import pytest

from sessionlib.config import load
from sessionlib.locations import SOCKET_PATH_MOST
from tests.configs import Write, refused, told


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("[watch]\nquiet = 2\nlongest_delay = 1", "watch.longest_delay", "at least watch.quiet, which is 2"),
        ("[watch]\nlongest_delay = 0.01", "watch.longest_delay", "at least watch.quiet, which is 0.05"),
        (
            "[watch]\nquiet = 2",
            "watch.quiet",
            "at most watch.longest_delay, which is 0.5 where it is not set",
        ),
        ("[sync]\nfirst_delay = 6", "sync.first_delay", "at most sync.longest_delay, which is 5 where it is"),
        ("[sync]\nlongest_delay = 0.05", "sync.longest_delay", "at least sync.first_delay, which is 0.1"),
    ],
)
def test_numbers_in_their_order(write: Write, text: str, key: str, reason: str) -> None:
    """The smaller time is not above the greater one; the key that was set is blamed."""
    path = write(text)
    error = refused(path)
    assert error.message.startswith(f"{path}: {key}: must be {reason}")
    assert error.key == key


def test_equal_numbers_are_in_order(write: Write) -> None:
    """The limits themselves fit."""
    path = write("[watch]\nquiet = 1\nlongest_delay = 1\n[sync]\nfirst_delay = 5\n")
    assert load(path, environ={}).watch.quiet == 1


def test_a_number_that_is_none_is_not_compared(write: Write) -> None:
    """What is wrong by itself is told once."""
    assert len(told(refused(write("[watch]\nquiet = 'x'\nlongest_delay = 0")))) == 1


def test_path_of_the_socket(write: Write) -> None:
    """A path of one byte too many is refused, naming the key to shorten; the longest there can be fits."""
    length = len("/control.sock")
    fits = "/" + "ä" * ((SOCKET_PATH_MOST - length - 1) // 2)
    fits += "x" * (SOCKET_PATH_MOST - length - len(fits.encode()))
    assert load(environ={"SESSIOND_RUNTIME_DIR": fits}).locations.socket.name == "control.sock"
    error = refused(environ={"SESSIOND_RUNTIME_DIR": f"{fits}x"})
    assert error.message.startswith("SESSIOND_RUNTIME_DIR: daemon.runtime_dir: the socket's path")
    assert f"has {SOCKET_PATH_MOST + 1} bytes" in error.message
    assert error.key == "daemon.runtime_dir"
    assert "SESSIOND_RUNTIME_DIR" in str(error.hint)
    path = write(f'[daemon]\nstate_dir = "{fits}"\n')
    assert refused(path).message.startswith(f"{path}: daemon.runtime_dir: the socket's path")
    assert load(path, environ={"SESSIOND_RUNTIME_DIR": "/r"}).state_dir == Path(fits)


@pytest.mark.parametrize(
    ("folder", "inside"),
    [
        ("/code/shop/agents/sessions", "/code/shop/agents/sessions"),
        ("/code/shop/agents/sessions/x/y", "/code/shop/agents/sessions"),
        ("/code/agents/sessions/x", "/code/agents/sessions"),
        ("/code/mono/apps/web/agents/sessions/x", "/code/mono/apps/web/agents/sessions"),
        ("/code/shop/agents", None),
        ("/code/shop/state", None),
        ("/elsewhere/agents/sessions/x", None),
        ("/", None),
    ],
)
@pytest.mark.parametrize("key", ["state_dir", "runtime_dir"])
def test_own_folders_lie_outside_the_sessions(
    write: Write, key: str, folder: str, inside: str | None
) -> None:
    """What the daemon writes must not look like a session, nor wake its own watcher."""
    path = write(f'[watch]\nroots = ["/code"]\n[daemon]\n{key} = "{folder}"\n')
    if inside is None:
        assert getattr(load(path, environ={}).daemon, key) == Path(folder)
        return
    error = refused(path)
    assert error.message.startswith(f"{path}: daemon.{key}: must not lie in {inside}, which holds sessions")
