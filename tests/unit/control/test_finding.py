"""Where a client looks for the daemon: option, variable, configuration, status file, the usual place."""

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionlib import locations
from sessionlib.control import finding


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder with a short path, for sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="home"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    """The environment of a user with that home."""
    return {
        "XDG_STATE_HOME": f"{home}/state",
        "XDG_CONFIG_HOME": f"{home}/config",
        "XDG_RUNTIME_DIR": f"{home}/run",
    }


def configure(home: Path, text: str) -> None:
    """Write the configuration in its usual place."""
    path = home / "config/sessiond/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def listening(path: Path) -> socket.socket:
    """Return a socket that listens there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen()
    return made


def test_the_usual_place_is_that_of_the_daemon(home: Path, environ: dict[str, str]) -> None:
    """Without any word, it is where the daemon's own locations are."""
    place = finding.find(environ=environ)
    usual = locations.locate(environ=environ)
    assert (place.socket, place.status_file) == (str(usual.socket), str(usual.status_file))
    assert place.socket == f"{home}/run/sessiond/control.sock"
    assert (place.last, place.trouble) == (None, "")


def test_another_state_folder_has_its_socket_below(home: Path, environ: dict[str, str]) -> None:
    """A daemon on another state folder does not share the user's socket."""
    place = finding.find(f"{home}/other", environ=environ)
    assert (place.socket, place.status_file) == (
        f"{home}/other/run/control.sock",
        f"{home}/other/status.json",
    )


def test_option_before_variable_before_file(home: Path, environ: dict[str, str]) -> None:
    """Each folder by itself comes from the first that names it."""
    configure(home, f"[daemon]\nstate_dir = '{home}/s3'\nruntime_dir = '{home}/r3'\n")
    assert finding.find(environ=environ).socket == f"{home}/r3/control.sock"
    environ |= {"SESSIOND_STATE_DIR": f"{home}/s2"}
    place = finding.find(environ=environ)
    assert (place.status_file, place.socket) == (f"{home}/s2/status.json", f"{home}/r3/control.sock")
    environ |= {"SESSIOND_RUNTIME_DIR": f"{home}/r2"}
    assert finding.find(environ=environ).socket == f"{home}/r2/control.sock"
    place = finding.find(f"{home}/s1", f"{home}/r1", environ=environ)
    assert (place.status_file, place.socket) == (f"{home}/s1/status.json", f"{home}/r1/control.sock")


def test_a_named_configuration_is_read(home: Path, environ: dict[str, str]) -> None:
    """By option or variable, instead of the one in the usual place."""
    configure(home, "[daemon]\nstate_dir = '/usual'\n")
    other = home / "other.toml"
    other.write_text("[daemon]\nstate_dir = '/other'\n")
    assert finding.find(environ=environ).status_file == "/usual/status.json"
    assert finding.find(config=str(other), environ=environ).status_file == "/other/status.json"
    environ["SESSIOND_CONFIG"] = str(other)
    assert finding.find(environ=environ).status_file == "/other/status.json"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("[daemon]\n# state_dir = '/no'\n", None),
        ("[watch]\nroots = ['/state_dir']\n", None),
        ('[daemon]\n"state\\u005fdir" = "/escaped"\n', "/escaped"),
        ("daemon.state_dir = '/dotted'\n", "/dotted"),
        ("daemon = {state_dir = '/inline'}\n", "/inline"),
        ("[daemon]\nstate_dir = '~/tilde'\n", str(Path("~/tilde").expanduser())),
        ("[daemon]\nstate_dir = 7\n", None),
        ("[daemon]\nstate_dir = ''\n", None),
    ],
)
def test_the_folder_is_found_however_toml_spells_it(
    text: str, state: str | None, home: Path, environ: dict[str, str]
) -> None:
    """The quick look before the parser never hides a key; what is no text is the daemon's own concern."""
    configure(home, text)
    expected = f"{state or home / 'state/sessiond'}/status.json"
    assert finding.find(environ=environ).status_file == expected


@pytest.mark.parametrize(
    "text", [b"[daemon]\nstate_dir = \n", b"[daemon]\nstate_dir = '\xff'\n", b"daemon = 'state_dir'"]
)
def test_a_configuration_that_cannot_be_read_is_named(
    text: bytes, home: Path, environ: dict[str, str]
) -> None:
    """Broken TOML that would say where the daemon is, another encoding, a section that is none."""
    configure(home, "")
    path = home / "config/sessiond/config.toml"
    path.write_bytes(text)
    with pytest.raises(finding.Unreadable, match=r"config\.toml"):
        finding.find(environ=environ)


def test_a_named_configuration_must_be_there(home: Path, environ: dict[str, str]) -> None:
    """A missing one in the usual place is no error, a missing one that was named is; so is a folder."""
    with pytest.raises(finding.Unreadable, match="No such file"):
        finding.find(config=f"{home}/none.toml", environ=environ)
    with pytest.raises(finding.Unreadable, match="it is a folder, not a file"):
        finding.find(config=str(home), environ=environ)


def test_with_both_folders_given_the_configuration_is_not_needed(home: Path, environ: dict[str, str]) -> None:
    """A broken file does not stand between an operator and the daemon."""
    configure(home, "state_dir = = =")
    assert finding.find("/s", "/r", environ=environ).socket == "/r/control.sock"


def test_a_configuration_that_was_broken_later_hides_no_daemon(home: Path, environ: dict[str, str]) -> None:
    """What listens in the usual place is found; a file that was named may mean another place."""
    configure(home, "[daemon]\nstate_dir = = =")
    with listening(home / "run/sessiond/control.sock"):
        assert finding.find(environ=environ).socket == f"{home}/run/sessiond/control.sock"
        with pytest.raises(finding.Unreadable):
            finding.find(config=f"{home}/config/sessiond/config.toml", environ=environ)


def test_the_status_file_names_the_socket(home: Path, environ: dict[str, str]) -> None:
    """A daemon that was started with other variables is found through its last words."""
    state = home / "state/sessiond"
    state.mkdir(parents=True)
    (state / "status.json").write_text(json.dumps({"socket": f"{home}/far/control.sock", "pid": 3}))
    place = finding.find(environ=environ)
    assert (place.socket, place.last) == (f"{home}/far/control.sock", {"socket": place.socket, "pid": 3})
    with listening(home / "run/sessiond/control.sock"):
        assert finding.find(environ=environ).socket == f"{home}/run/sessiond/control.sock"
        with listening(home / "far/control.sock"):
            assert finding.find(environ=environ).socket == f"{home}/far/control.sock"
            assert finding.find(None, f"{home}/r", environ=environ).socket == f"{home}/r/control.sock"


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("", "it is no JSON"),
        ("{", "it is no JSON"),
        ("[]", "it is no JSON object"),
        ("[" * 100_000, "it is no JSON"),
    ],
    ids=range(4),
)
def test_a_corrupt_status_file_is_told(text: str, trouble: str, home: Path, environ: dict[str, str]) -> None:
    """Whatever it holds, the usual socket is used and the trouble is kept for the message."""
    state = home / "state/sessiond"
    state.mkdir(parents=True)
    (state / "status.json").write_text(text)
    place = finding.find(environ=environ)
    assert (place.last, place.trouble) == (None, trouble)
    assert place.socket == f"{home}/run/sessiond/control.sock"


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_status_file_that_is_no_file_is_not_waited_for(
    kind: str, home: Path, environ: dict[str, str]
) -> None:
    """A pipe has no writer and would never end; it is told like any other trouble."""
    state = home / "state/sessiond"
    state.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(state / "status.json")
    else:
        (state / "status.json").mkdir()
    place = finding.find(environ=environ)
    assert place.last is None
    assert place.trouble


@pytest.mark.parametrize("told", ["relative.sock", 7, None, "/a\0b"])
def test_nonsense_for_a_socket_is_not_followed(told: object, home: Path, environ: dict[str, str]) -> None:
    """Only an absolute path can be one."""
    state = home / "state/sessiond"
    state.mkdir(parents=True)
    (state / "status.json").write_text(json.dumps({"socket": told}))
    with listening(home / "run/sessiond/control.sock"):
        assert finding.find(environ=environ).socket == f"{home}/run/sessiond/control.sock"
