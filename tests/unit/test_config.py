"""Configuration: which source wins, what is refused and in which words."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from sessionlib import config
from sessionlib.config import Config, load, refuse_password
from sessionlib.errors import ConfigError
from sessionlib.models import derived_id

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any configuration, so that no test meets the machine's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration file and return its path."""

    def made(text: str) -> Path:
        path = tmp_path / "given.toml"
        path.write_text(text)
        return path

    return made


def refused(path: Path | None = None, **more: Any) -> ConfigError:
    """Return the error of a configuration that cannot be used."""
    with pytest.raises(ConfigError) as caught:
        load(path, **({"environ": {}} | more))
    assert caught.value.exit_code == 78
    return caught.value


# --- which source wins ---------------------------------------------------------------------------


def test_defaults_without_any_source() -> None:
    """Nothing given gives the defaults: SQLite in the user's state folder."""
    found = load(environ={})
    assert found == Config()
    assert found.source == "the defaults"
    assert found.state_dir.name == "sessiond"
    assert found.database_url == f"sqlite:///{found.state_dir}/mirror.db"


def test_option_over_environment_over_file_over_default(write: Write) -> None:
    """Each source wins over the next for the keys it names, and leaves the others."""
    path = write('[database]\nurl = "sqlite:////file.db"\npgbouncer = true\n[watch]\ndepth = 7\nquiet = 1\n')
    environ = {"SESSIOND_DATABASE_URL": "sqlite:////environment.db"}
    assert load(path, environ={}).database_url == "sqlite:////file.db"
    assert load(path, environ=environ).database_url == "sqlite:////environment.db"
    options = {"database": {"url": "sqlite:////option.db"}, "watch": {"depth": 2}}
    found = load(path, environ=environ, overrides=options)
    assert found.database_url == "sqlite:////option.db"
    assert (found.watch.depth, found.watch.quiet, found.database.pgbouncer) == (2, 1.0, True)
    assert found.watch.poll_interval == Config().watch.poll_interval
    assert found.source == str(path)


def test_file_named_by_option_environment_or_place(write: Write, home: Path) -> None:
    """An option's file wins over the environment's, and that over the one in the usual place."""
    path = write("[watch]\ndepth = 1\n")
    (home / "second.toml").write_text("[watch]\ndepth = 2\n")
    usual = config.default_config_path()
    usual.parent.mkdir(parents=True)
    usual.write_text("[watch]\ndepth = 3\n")
    environ = {"SESSIOND_CONFIG": "~/second.toml"}
    assert load(path, environ=environ).watch.depth == 1
    assert load(environ=environ).watch.depth == 2
    assert load(environ={}).watch.depth == 3
    assert load(environ={"SESSIOND_CONFIG": ""}).watch.depth == 3


def test_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a given environment the process's own counts, and empty variables do not."""
    monkeypatch.setenv("SESSIOND_STATE_DIR", "/var/lib/mirror")
    monkeypatch.setenv("SESSIOND_DATABASE_URL", "")
    monkeypatch.setenv("SESSIOND_HOST_ID", str(UUID(int=7)))
    monkeypatch.delenv("SESSIOND_CONFIG", raising=False)
    found = load()
    assert found.database_url == "sqlite:////var/lib/mirror/mirror.db"
    assert found.host_id() == UUID(int=7)


def test_home_is_expanded(write: Write, home: Path) -> None:
    """A path may begin with ~, from every source; a relative one is taken from the working folder."""
    path = write('[watch]\nroots = ["~/code", "here/../there", "/abs/"]\n[daemon]\nstate_dir = "~/state"\n')
    found = load(path, environ={})
    assert found.watch.roots == (home / "code", Path.cwd() / "there", Path("/abs"))
    assert found.state_dir == home / "state"
    assert load(environ={"SESSIOND_STATE_DIR": "~/x"}).state_dir == home / "x"
    options = {"watch": {"roots": ["~/other"]}}
    assert load(path, environ={}, overrides=options).watch.roots == (home / "other",)


def test_links_in_roots_are_kept(write: Write, home: Path) -> None:
    """A root that is a link stays the path that was written."""
    (home / "real").mkdir()
    (home / "link").symlink_to(home / "real")
    assert load(write('[watch]\nroots = ["~/link"]\n'), environ={}).watch.roots == (home / "link",)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("[watch]\nroot = []", "watch.root", "did you mean roots?"),
        ("[watch]\npol_interval = 1", "watch.pol_interval", "did you mean poll_interval?"),
        ("[databse]\nurl = ''", "databse", "did you mean database?"),
        ("[sync]\nworker = 1", "sync.worker", "did you mean workers?"),
        ("[daemon]\nzzz = 1", "daemon.zzz", "allowed here: drain_deadline, host_id, log_level, state_dir"),
        ("zzz = 1", "zzz", "allowed here: daemon, database, sync, watch"),
        ("source = 'x'", "source", None),
    ],
)
def test_unknown_key(write: Write, text: str, key: str, hint: str | None) -> None:
    """A key that does not exist is refused with its name, the file's, and the nearest that does."""
    path = write(text)
    error = refused(path)
    assert error.message == f"{path}: unknown key {key}"
    assert (error.key, error.source) == (key, str(path))
    if hint is not None:
        assert error.hint == hint


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[watch]\ndepth = 'many'", "watch.depth"),
        ("[watch]\ndepth = 33", "watch.depth"),
        ("[watch]\ndepth = 1.5", "watch.depth"),
        ("[watch]\nroots = '/one'", "watch.roots"),
        ("[watch]\nroots = ['/one', 7]", "watch.roots.1"),
        ("[watch]\nroots = ['~nobody-we-know/x']", "watch.roots.0"),
        ("[watch]\npoll_interval = 0", "watch.poll_interval"),
        ("[watch]\npoll_interval = nan", "watch.poll_interval"),
        ("[watch]\nquiet = inf", "watch.quiet"),
        ("[watch]\nforce_polling = 'perhaps'", "watch.force_polling"),
        ("[database]\nurl = 7", "database.url"),
        ("[sync]\nfirst_delay = 0", "sync.first_delay"),
        ("[sync]\nworkers = -1", "sync.workers"),
        ("[daemon]\nlog_level = 'loud'", "daemon.log_level"),
        ("[daemon]\nhost_id = 'anvil'", "daemon.host_id"),
        ("watch = 3", "watch"),
        ("database = 'sqlite:////x.db'", "database"),
        ("daemon = []", "daemon"),
    ],
)
def test_value_that_does_not_fit(write: Write, text: str, key: str) -> None:
    """A wrong type or a value out of range names the file and the key, whatever else is given."""
    path = write(text)
    environ = {"SESSIOND_DATABASE_URL": "sqlite:////env.db", "SESSIOND_STATE_DIR": "/x"}
    if key.startswith("database."):
        environ.pop("SESSIOND_DATABASE_URL")
    error = refused(path, environ=environ, overrides={"watch": {}})
    assert error.message.startswith(f"{path}: {key}: ")
    assert (error.key, error.source) == (key, str(path))


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("SESSIOND_HOST_ID", "zzz", "daemon.host_id"),
        ("SESSIOND_STATE_DIR", "~nobody-we-know/x", "daemon.state_dir"),
    ],
)
def test_bad_value_from_the_environment_names_the_variable(
    write: Write, variable: str, value: str, key: str
) -> None:
    """Whoever reads the error knows which variable to mend, whatever file there is; an option hides it."""
    path = write("[watch]\ndepth = 1\n")
    error = refused(path, environ={variable: value})
    assert error.message.startswith(f"{variable}: {key}: ")
    assert (error.key, error.source) == (key, variable)
    section, name = key.split(".")
    error = refused(path, environ={variable: value}, overrides={section: {name: 7}})
    assert error.source == str(path)


def test_bad_value_from_the_environment() -> None:
    """A variable's value is checked like the file's, and a password in it is not shown."""
    assert refused(environ={"SESSIOND_HOST_ID": "anvil"}).key == "daemon.host_id"
    assert refused(environ={"SESSIOND_STATE_DIR": "~nobody-we-know/x"}).key == "daemon.state_dir"
    assert "home folder" in refused(environ={"SESSIOND_CONFIG": "~nobody-we-know/x"}).message


@pytest.mark.parametrize(
    "content", [b"[watch\n", b"watch = \xff\n", b"[watch]\ndepth = 1\ndepth = 2\n", None]
)
def test_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    """A named file that is missing or no TOML is an error that names it."""
    path = tmp_path / "broken.toml"
    if content is not None:
        path.write_bytes(content)
    for error in (refused(path), refused(environ={"SESSIOND_CONFIG": str(path)})):
        assert f"cannot read the configuration {path}" in error.message
        assert error.source == str(path)
        assert error.hint
    assert refused(tmp_path).source == str(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:secret@host/name",
        "postgresql+psycopg://ann:secret@/name?host=/tmp",
        "postgresql://ann:se#cr/et?@host/name",
        "postgresql://:secret@host/name",
        "postgresql://ann:secret@[::1/name",
        "postgresql://ann@host/name?password=secret",
        "postgresql://ann@host/name?x=1&PassWord=secret",
        "postgresql://ann@host/name?sslpassword=secret",
    ],
)
def test_password_on_the_command_line(url: str) -> None:
    """A URL with a password is refused where every user can read it, and not repeated."""
    with pytest.raises(ConfigError) as caught:
        refuse_password(url)
    assert "SESSIOND_DATABASE_URL" in str(caught.value.hint)
    assert url not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////home/a:b@c/mirror.db",
        "sqlite:///mirror.db",
        "postgresql://ann@host:5432/name",
        "postgresql://host/name?user=ann",
        "postgresql:///name?host=/run/postgresql",
        "",
    ],
)
def test_url_without_a_password(url: str) -> None:
    """A URL without one passes."""
    refuse_password(url)


# --- the machine's id ----------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this machine's own id is looked for; nothing is there."""
    path = tmp_path / "machine-id"
    monkeypatch.setattr(config, "_MACHINE_IDS", (path, tmp_path / "dbus-id"))
    return path


def test_host_id_that_is_configured(machine: Path) -> None:
    """A configured id wins over the machine's, and the environment's over the file's."""
    machine.write_text("0" * 32)
    wanted = uuid4()
    assert load(environ={"SESSIOND_HOST_ID": str(wanted)}).host_id() == wanted
    assert load(environ={}, overrides={"daemon": {"host_id": wanted}}).host_id() == wanted


def test_host_id_of_the_machine(machine: Path, tmp_path: Path) -> None:
    """The machine's id gives a derived one, the same each time, that does not show it."""
    machine.write_text("0123456789abcdef0123456789abcdef\n")
    found = load(environ={}).host_id()
    assert found == derived_id("host", "0123456789abcdef0123456789abcdef")
    machine.unlink()
    (tmp_path / "dbus-id").write_text("0123456789abcdef0123456789abcdef\n")
    assert load(environ={}).host_id() == found


@pytest.mark.parametrize("content", [None, b"", b"uninitialized\n", b"\xff\xfe", b"too short"])
def test_host_id_that_is_drawn_and_kept(machine: Path, tmp_path: Path, content: bytes | None) -> None:
    """Where the machine has none, one is drawn and kept in the state folder, the owner's alone."""
    if content is not None:
        machine.write_bytes(content)
    found = load(environ={"SESSIOND_STATE_DIR": str(tmp_path / "state")})
    drawn = found.host_id()
    assert found.host_id() == drawn
    assert (tmp_path / "state" / "host-id").read_text() == f"{drawn}\n"
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["host-id"]


def test_host_id_that_another_process_kept_first(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two processes that draw at once both use the id that was kept."""
    first = uuid4()
    path = tmp_path / "state" / "host-id"
    keep = config._keep

    def late(where: Path, text: str) -> None:
        keep(where, f"{first}\n")
        keep(where, text)

    monkeypatch.setattr(config, "_keep", late)
    assert load(environ={"SESSIOND_STATE_DIR": str(tmp_path / "state")}).host_id() == first
    assert path.read_text() == f"{first}\n"


@pytest.mark.parametrize("content", ["anvil", ""])
def test_kept_host_id_that_is_none(machine: Path, tmp_path: Path, content: str) -> None:
    """A kept id that is not one is not overwritten but named."""
    (tmp_path / "host-id").write_text(content)
    with pytest.raises(ConfigError, match="does not hold a UUID") as caught:
        load(environ={"SESSIOND_STATE_DIR": str(tmp_path)}).host_id()
    assert caught.value.source == str(tmp_path / "host-id")


def test_host_id_that_cannot_be_kept(machine: Path, tmp_path: Path) -> None:
    """Where the state folder cannot be made, the error says how to do without."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot keep this machine's id") as caught:
        load(environ={"SESSIOND_STATE_DIR": str(tmp_path / "file" / "state")}).host_id()
    assert "SESSIOND_HOST_ID" in str(caught.value.hint)


def test_host_name() -> None:
    """A machine has a name for people."""
    assert Config().host_name()
