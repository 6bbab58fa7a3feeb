"""Configuration: where secrets may come from, and that no message shows them."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionlib.config import (
    Config,
    load,
    passwords_in,
)
from sessionlib.errors import ConfigError
from tests.configs import Write, refused, told

SECRET = "c4nary"
URL = f"postgresql://ann:{SECRET}@host/name"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A file with a URL that is ours alone."""
    path = tmp_path / "database-url"
    path.write_text(f"{URL}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """We are somebody else than the one who made the files."""
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)


# --- the URL in the configuration file -----------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_password_in_a_private_configuration(write: Write, mode: int) -> None:
    """A configuration that only its owner can read may hold a password."""
    assert load(write(f'[database]\nurl = "{URL}"\n', mode), environ={}).database_url == URL


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602])
def test_password_in_a_configuration_that_others_can_use(write: Write, mode: int) -> None:
    """Otherwise the error names the file, its mode and the command that mends it, and not the password."""
    path = write(f'[database]\nurl = "{URL}"\n', mode)
    environ = {"SESSIOND_DATABASE_URL": "sqlite:////elsewhere.db"}
    for error in (refused(path), refused(path, environ=environ)):
        assert f"but this one may be used by others (mode {mode:04o}): chmod 600 {path}" in error.message
        assert (error.key, error.source) == ("database.url", str(path))
        assert "SESSIOND_DATABASE_URL" in str(error.hint)
        assert SECRET not in "".join(told(error))


def test_url_without_a_password_may_stand_anywhere(write: Write) -> None:
    """Nothing secret, nothing to hide."""
    path = write('[database]\nurl = "postgresql://ann@host:5432/name"\n', 0o666)
    assert load(path, environ={}).database_url == "postgresql://ann@host:5432/name"


@pytest.mark.usefixtures("stranger")
@pytest.mark.skipif(os.geteuid() != 0, reason="root's files are trusted, which only root can show")
def test_files_of_root_are_trusted(write: Write, private: Path) -> None:
    """Root may have put the file there for us."""
    assert load(write(f'[database]\nurl = "{URL}"\n', 0o600), environ={}).database_url == URL


def test_files_of_somebody_else_are_not_trusted(
    write: Write, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A private file of another user is theirs to read and to change, so it is refused."""
    owned = write(f'[database]\nurl = "{URL}"\n', 0o600)
    by_file = private.parent / "by-file.toml"
    by_file.write_text(f'[database]\nurl_file = "{private}"\n')
    if os.geteuid() == 0:
        os.chown(owned, 12345, -1)
        os.chown(private, 12345, -1)
    else:
        uid = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    for path in (owned, by_file):
        error = refused(path)
        assert "belongs to another user" in error.message
        assert SECRET not in "".join(told(error))


# --- the file with the URL -----------------------------------------------------------------------


def test_url_file(write: Write, private: Path) -> None:
    """The URL is the file's first line, and it is said to come from there."""
    private.write_text(f"  {URL}  \n# which one this is\n")
    path = write('[database]\nurl_file = "~/database-url"\n')
    found = load(path, environ={})
    assert found.database_url == URL
    assert found.origin("database.url") == str(private)
    assert found.secrets() == (SECRET,)


def test_url_file_gives_way(write: Write, private: Path) -> None:
    """An option, the environment or a credential wins, and then the file need not even be there."""
    path = write('[database]\nurl_file = "~/nowhere"\n')
    other = "sqlite:////other.db"
    assert load(path, environ={"SESSIOND_DATABASE_URL": other}).database_url == other
    assert load(path, environ={}, overrides={"database": {"url": other}}).database_url == other
    (private.parent / "dsn").write_text(other)
    assert load(path, environ={"CREDENTIALS_DIRECTORY": str(private.parent)}).database_url == other


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660])
def test_url_file_that_others_can_use(write: Write, private: Path, mode: int) -> None:
    """It must be ours alone, with or without a password in it."""
    private.chmod(mode)
    error = refused(write(f'[database]\nurl_file = "{private}"\n'))
    assert f"mode {mode:04o}" in error.message
    assert f"chmod 600 {private}" in error.message
    assert error.key == "database.url_file"
    assert SECRET not in "".join(told(error))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\n \n", "it is empty"),
        (b"postgresql://ann:c4nary\xff@host/x", "it is not UTF-8"),
        (b"x" * 70_000, "it is larger than 64 KiB"),
        (None, "No such file"),
    ],
)
def test_url_file_that_cannot_be_used(
    write: Write, private: Path, content: bytes | None, reason: str
) -> None:
    """One sentence says what is wrong with it, and nothing of what it holds."""
    private.unlink() if content is None else private.write_bytes(content)
    path = write('[database]\nurl_file = "~/database-url"\n')
    error = refused(path)
    assert error.message.startswith(f"{path}: database.url_file: ~/database-url cannot be used: {reason}")
    assert SECRET not in error.message
    assert error.problems == ()


def test_url_file_and_url(write: Write, private: Path) -> None:
    """Two places for one URL are one too many; an empty URL is none."""
    error = refused(write(f'[database]\nurl = "sqlite:////x.db"\nurl_file = "{private}"\n'))
    assert error.key == "database.url_file"
    assert "database.url is set too" in error.message
    assert load(write(f'[database]\nurl = ""\nurl_file = "{private}"\n'), environ={}).database_url == URL


def test_url_in_the_place_of_its_file(write: Write) -> None:
    """Somebody who writes the URL itself there is told so without its password."""
    error = refused(write(f'[database]\nurl_file = "{URL}"\n'))
    assert error.message.endswith("database.url_file: must be a path, not a URL")
    assert SECRET not in "".join(told(error))


def test_url_file_in_a_home_that_is_none(write: Write) -> None:
    """It is said once."""
    error = refused(write('[database]\nurl_file = "~nobody-we-know/x"\n'))
    assert "database.url_file: there is no home folder" in error.message
    assert error.problems == ()


# --- credentials ---------------------------------------------------------------------------------


def test_credentials(tmp_path: Path) -> None:
    """The service manager's files are taken whatever their mode, since it keeps them."""
    (tmp_path / "dsn").write_text(f"{URL}\n")
    (tmp_path / "control-token").write_text("0123456789abcdef\n")
    (tmp_path / "control-token").chmod(0o440)
    found = load(environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (found.database_url, found.origin("database.url")) == (URL, "credential dsn")
    assert found.control.token_file == tmp_path / "control-token"
    assert found.control_token() == "0123456789abcdef"


def test_no_credentials(tmp_path: Path) -> None:
    """Neither a folder without them nor one that is not there changes anything."""
    for directory in (tmp_path, tmp_path / "nowhere"):
        assert load(environ={"CREDENTIALS_DIRECTORY": str(directory)}) == Config()


@pytest.mark.parametrize(("name", "key"), [("dsn", "database.url"), ("control-token", "control.token_file")])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_text(""), "it is empty"),
        (lambda path: path.write_text(f"{SECRET}\n{SECRET}\n"), "it holds more than one line"),
        (lambda path: path.write_bytes(b"c4nary\xff"), "it is not UTF-8 (byte 6)"),
        (lambda path: path.mkdir(), "it is a folder, not a file"),
        (os.mkfifo, "it is a pipe, not a file"),
    ],
    ids=["empty", "lines", "bytes", "folder", "pipe"],
)
def test_credential_that_cannot_be_used(
    tmp_path: Path, name: str, key: str, make: Callable[[Path], object], reason: str
) -> None:
    """It is one clear error at once, and nothing of the credential is shown."""
    make(tmp_path / name)
    error = refused(environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert error.message == f"credential {name}: {key}: {tmp_path / name} cannot be used: {reason}"
    assert (error.key, error.source) == (key, f"credential {name}")
    assert error.problems == ()
    assert SECRET not in "".join(told(error))


# --- the control token ---------------------------------------------------------------------------


def test_token_is_drawn_once_and_kept(tmp_path: Path) -> None:
    """Without a configured file the token is drawn into the state folder, ours alone, and stays."""
    found = load(environ={"SESSIOND_STATE_DIR": str(tmp_path / "state")})
    token = found.control_token()
    assert len(token) >= 32
    assert found.control_token() == token
    path = tmp_path / "state" / "control-token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["control-token"]
    path.chmod(0o644)
    with pytest.raises(ConfigError, match=r"mode 0644.*chmod 600"):
        found.control_token()


def test_token_of_a_configured_file(write: Write, tmp_path: Path) -> None:
    """A configured file is read, must be there, private, and hold what a header can carry."""
    found = load(write('[control]\ntoken_file = "~/token"\n'), environ={})
    path = tmp_path / "token"
    bad = [None, "short", "with a space in it", "umlauts-äöü-äöü-äöü", "two\nlines-of-a-token-0123"]
    for content in bad:
        if content is not None:
            path.write_text(content)
            path.chmod(0o600)
        with pytest.raises(ConfigError) as caught:
            found.control_token()
        assert (caught.value.key, caught.value.source) == ("control.token_file", str(tmp_path / "given.toml"))
        assert content is None or content not in caught.value.message
    path.write_text("0123456789-abcdef\n")
    assert found.control_token() == "0123456789-abcdef"


def test_token_that_cannot_be_kept(tmp_path: Path) -> None:
    """Where the state folder cannot be made the error says which file could not be written."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"control\.token_file"):
        load(environ={"SESSIOND_STATE_DIR": str(tmp_path / "file" / "state")}).control_token()


# --- nothing is shown ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f'[database]\nurl = "{URL}\\n"\n',
        f'[database]\nurl = ["{SECRET}"]\n',
        f"[database]\nurl = {URL}\n",
        f'[database]\nurl = "{URL}"\nurl = "{URL}"\n',
        f'[database]\npassword = "{SECRET}"\n',
        f'database = "{URL}"\n',
        f'[database]\nurl_file = "{URL}"\n',
    ],
)
def test_no_message_shows_the_password(write: Write, text: str) -> None:
    """Not in the sentence, the hint or further problems, nor in what the exception would print."""
    error = refused(write(text, 0o600))
    assert SECRET not in "".join([*told(error), str(error), repr(error)])
    assert error.__cause__ is None


def test_password_of_the_environment_is_not_shown() -> None:
    """A URL from a variable that cannot be used is named by its variable alone."""
    error = refused(environ={"SESSIOND_DATABASE_URL": f"{URL}\x07"})
    assert error.message == "SESSIOND_DATABASE_URL: database.url: must be one line without control characters"


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("postgresql://ann:s%40cret@host/name", {"s%40cret", "s@cret"}),
        ("postgresql://ann@host/name?password=a%2Bb+c", {"a%2Bb+c", "a+b c"}),
        ("postgresql://ann:x@yz@host/name", {"x", "x@yz"}),
        ("postgresql://ann@host/name", set()),
        ("sqlite:////home/a:b@c/mirror.db", set()),
        ("", set()),
    ],
)
def test_secrets_in_use(url: str, secrets: set[str]) -> None:
    """The log is given every form in which a password could turn up."""
    found = load(environ={"SESSIOND_DATABASE_URL": url})
    assert set(found.secrets()) == set(passwords_in(url)) == secrets


def test_password_of_the_client_library_is_a_secret() -> None:
    """PGPASSWORD is used by the driver, so it must not be logged either."""
    assert load(environ={"PGPASSWORD": SECRET}).secrets() == (SECRET,)
    assert load(environ={"PGPASSWORD": ""}).secrets() == ()
