"""Configuration: which source wins, and what each setting came from."""

import dataclasses
from pathlib import Path
from uuid import UUID

import pytest

from sessionlib import config
from sessionlib.config import Config, DaemonConfig, load
from sessionlib.errors import ConfigError
from tests.configs import Write, refused


def test_defaults_without_any_source() -> None:
    """Nothing given gives the defaults: SQLite in the user's state folder."""
    found = load(environ={})
    assert found == Config()
    assert hash(found) == hash(Config())
    assert found.source == "the defaults"
    assert found.state_dir.name == "sessiond"
    assert found.database_url == f"sqlite:///{found.state_dir}/mirror.db"
    assert {found.origin("watch.roots"), found.origin("log.level")} == {"the defaults"}


def test_option_over_environment_over_credential_over_file_over_default(write: Write, home: Path) -> None:
    """Each source wins over the next for the keys it names, and leaves the others."""
    path = write(
        '[database]\nurl = "sqlite:////file.db"\npgbouncer = true\n[watch]\ndepth = 7\nquiet = 0.5\n'
    )
    (home / "dsn").write_text("sqlite:////credential.db\n")
    credential = {"CREDENTIALS_DIRECTORY": str(home)}
    environ = credential | {"SESSIOND_DATABASE_URL": "sqlite:////environment.db"}
    options = {"database": {"url": "sqlite:////option.db"}, "watch": {"depth": 2}}
    given = [
        (load(path, environ={}), "sqlite:////file.db", str(path)),
        (load(path, environ=credential), "sqlite:////credential.db", "credential dsn"),
        (load(path, environ=environ), "sqlite:////environment.db", "SESSIOND_DATABASE_URL"),
        (load(path, environ=environ, overrides=options), "sqlite:////option.db", "--database"),
    ]
    for found, url, origin in given:
        assert (found.database_url, found.origin("database.url")) == (url, origin)
    found = given[-1][0]
    assert (found.watch.depth, found.watch.quiet, found.database.pgbouncer) == (2, 0.5, True)
    assert found.watch.poll_interval == Config().watch.poll_interval
    assert found.source == str(path)
    assert found.origin("watch.depth") == "the command line"
    assert found.origin("watch.quiet") == str(path)


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
    assert load(environ={"XDG_CONFIG_HOME": str(home / "elsewhere")}).watch.depth == Config().watch.depth


def test_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a given environment the process's own counts, and empty variables do not."""
    monkeypatch.setenv("SESSIOND_STATE_DIR", "/var/lib/mirror")
    monkeypatch.setenv("SESSIOND_RUNTIME_DIR", "/run/mirror")
    monkeypatch.setenv("SESSIOND_DATABASE_URL", "")
    monkeypatch.setenv("SESSIOND_HOST_ID", str(UUID(int=7)))
    found = load()
    assert found.database_url == "sqlite:////var/lib/mirror/mirror.db"
    assert found.locations.socket == Path("/run/mirror/control.sock")
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


def test_relative_paths_start_where_the_caller_says(home: Path) -> None:
    """A process that works elsewhere by now reads the same file and gets the same paths."""
    (home / "start").mkdir()
    (home / "start" / "given.toml").write_text(
        '[watch]\nroots = ["code", "~/code", "/abs"]\n[database]\nurl_file = "dsn"\n'
    )
    (home / "start" / "dsn").write_text("postgresql://host/name")
    (home / "start" / "dsn").chmod(0o600)
    found = load(Path("given.toml"), environ={}, folder=home / "start")
    assert found.watch.roots == (home / "start" / "code", home / "code", Path("/abs"))
    assert found.database_url == "postgresql://host/name"
    assert found.source == str(home / "start" / "given.toml")


def test_links_in_roots_are_kept(write: Write, home: Path) -> None:
    """A root that is a link stays the path that was written."""
    (home / "real").mkdir()
    (home / "link").symlink_to(home / "real")
    assert load(write('[watch]\nroots = ["~/link"]\n'), environ={}).watch.roots == (home / "link",)


def test_locations_follow_the_settings_and_the_environment_they_were_read_in(home: Path) -> None:
    """The folders are those given, else those of the variables the configuration was read with."""
    given = load(environ={"SESSIOND_STATE_DIR": "/s", "SESSIOND_RUNTIME_DIR": "/r"}).locations
    assert (given.state_dir, given.runtime_dir) == (Path("/s"), Path("/r"))
    assert load(environ={"SESSIOND_STATE_DIR": "/s"}).locations.runtime_dir == Path("/s/run")
    usual = load(environ={"XDG_RUNTIME_DIR": "/run/user/1", "XDG_STATE_HOME": "/st"}).locations
    assert (usual.state_dir, usual.runtime_dir) == (Path("/st/sessiond"), Path("/run/user/1/sessiond"))
    plain = Config(daemon=DaemonConfig(state_dir=home / "x"))
    assert plain.locations.status_file == home / "x" / "status.json"


def test_log_file(write: Write, home: Path) -> None:
    """A detached daemon logs into the configured file, else into one in the state folder."""
    assert load(environ={"SESSIOND_STATE_DIR": "/s"}).log_file == Path("/s/sessiond.log")
    assert load(write('[log]\nfile = "~/here.log"\n'), environ={}).log_file == home / "here.log"


def test_nobody_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a home folder a named state folder is enough; without either the error says what to name."""

    def none(*_: object) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", none)
    found = load(environ={"SESSIOND_STATE_DIR": "/s"})
    assert found.locations.runtime_dir == Path("/s/run")
    error = refused()
    assert "there is no home folder" in error.message
    assert (error.key, error.source) == ("daemon.state_dir", "the defaults")
    assert "SESSIOND_STATE_DIR" in str(error.hint)
    with pytest.raises(ConfigError, match="no home folder"):
        _ = Config().state_dir
    assert "no home folder for ~/x" in refused(environ={"SESSIOND_CONFIG": "~/x"}).message


def test_settings_cannot_be_changed() -> None:
    """Everybody may hold on to a configuration: nobody can change it under them."""
    found = Config()
    with pytest.raises(ValueError, match="frozen"):
        found.watch.depth = 9  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        found.watch = found.watch  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.settings.Provenance().folder = Path()  # type: ignore[misc]


def test_equal_means_equal_settings(write: Write) -> None:
    """Two configurations are equal when their settings are, whatever the sources; other things never are."""
    path = write("[watch]\ndepth = 7\n")
    assert load(path, environ={}) != Config()
    assert load(path, environ={}) == load(path, environ={}, overrides={"watch": {"depth": 7}})
    assert Config() != 7
