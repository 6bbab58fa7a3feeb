"""Configuration: what is refused, and in which words."""

import os
from pathlib import Path

import pytest

from sessionlib.config import Config, load
from tests.configs import Write, refused, told


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("[watch]\nroot = []", "watch.root", "did you mean roots?"),
        ("[watch]\npol_interval = 1", "watch.pol_interval", "did you mean poll_interval?"),
        ("[daemons]\nhost_id = 1", "daemons", "did you mean daemon?"),
        ("[sync]\nworker = 1", "sync.worker", "did you mean workers?"),
        ("[daemon]\nhost_idd = 1", "daemon.host_idd", "did you mean host_id?"),
        ("[watch]\nworkers = 1", "watch.workers", "workers belongs in [sync]"),
        ("[daemon]\nlongest_delay = 1", "daemon.longest_delay", "longest_delay belongs in [watch] or [sync]"),
        ("depth = 1", "depth", "depth belongs in [watch]"),
        ("[database]\nstate_dirs = 1", "database.state_dirs", "did you mean state_dir in [daemon]?"),
        ("[daemon]\nlog_level = 'info'", "daemon.log_level", "log_level is level in [log] now"),
        ("log_level = 'info'", "log_level", "log_level is level in [log] now"),
        ("[log]\nzzz = 1", "log.zzz", "allowed here: file, format, level"),
        ("zzz = 1", "zzz", "allowed here: control, daemon, database, log, prices, sync, tracking, watch"),
        (
            "source = 'x'",
            "source",
            "allowed here: control, daemon, database, log, prices, sync, tracking, watch",
        ),
        ('[watch]\n"a\\nb\\u001b" = 1', 'watch."a\\nb\\u001b"', None),
    ],
)
def test_unknown_key(write: Write, text: str, key: str, hint: str | None) -> None:
    """A key that does not exist is refused with its name, the file's, and the right one or the nearest."""
    path = write(text)
    error = refused(path)
    assert error.message == f"{path}: unknown key {key}"
    assert (error.key, error.source) == (key, str(path))
    if hint is not None:
        assert error.hint == hint
    assert error.problems == ()


DEPTH = "must be a whole number from 0 to 32 (folders), not "
POLL = "must be a number from 0.1 to 3600 (seconds), not "
QUIET = "must be a number from 0 to 60 (seconds), not "
LEVEL = 'must be "debug", "info", "warning" or "error", not '
INSIDE = "must be a path inside the project"


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("watch.depth", "'many'", f"{DEPTH}'many'"),
        ("watch.depth", "33", f"{DEPTH}33"),
        ("watch.depth", "1.5", f"{DEPTH}1.5"),
        ("watch.depth", "'4'", f"{DEPTH}'4'"),
        ("watch.depth", "true", f"{DEPTH}true"),
        ("watch.roots", "'/one'", "must be a list of paths, not '/one'"),
        ("watch.roots", "{ a = 1 }", "must be a list of paths, not a table"),
        ("watch.roots.1", "['/one', 7]", "must be a path in quotes, not 7"),
        ("watch.roots.0", "['~nobody-we-know/x']", "there is no home folder for '~nobody-we-know/x'"),
        ("watch.roots.0", "['']", "must be a path, and not an empty one"),
        ("watch.roots.0", '["a\\u0000b"]', "must be a path, and not an empty one"),
        ("watch.sessions_dirs.0", "['../x']", INSIDE),
        ("watch.sessions_dirs.0", "['/x']", INSIDE),
        ("watch.sessions_dirs.0", "['./']", INSIDE),
        ("watch.sessions_dirs.0", "[7]", "must be a text in quotes, not 7"),
        ("watch.poll_interval", "0", f"{POLL}0"),
        ("watch.poll_interval", "nan", f"{POLL}nan"),
        ("watch.quiet", "inf", f"{QUIET}inf"),
        ("watch.quiet", "1979-05-27", f"{QUIET}a date or time"),
        ("watch.quiet", "[]", f"{QUIET}a list"),
        ("watch.force_polling", "'yes'", "must be true or false, not 'yes'"),
        ("watch.force_polling", "1", "must be true or false, not 1"),
        ("database.url", "7", "must be a text in quotes"),
        ("database.url", '"sqlite:///a\\nb"', "must be one line without control characters"),
        ("sync.first_delay", "0", "must be a number above 0 and up to 60 (seconds), not 0"),
        ("sync.workers", "-1", "must be a whole number from 0 to 64 (threads), not -1"),
        ("control.clients", "0", "must be a whole number from 1 to 1024 (connections), not 0"),
        ("log.level", "'loud'", f"{LEVEL}'loud'"),
        ("log.level", '"\\u001b[31m"', f"{LEVEL}'\\x1b[31m'"),
        ("log.level", f"'{'x' * 500}'", f"{LEVEL}'{'x' * 60}'…"),
        ("log.format", "'xml'", 'must be "logfmt" or "json", not \'xml\''),
        ("log.file", "''", "must be a path, and not an empty one"),
        ("daemon.stale_after", "'fast'", "must be a number from 0.1 to 86400 (seconds), not 'fast'"),
        ("daemon.host_id", "'anvil'", "must be a UUID such as "),
    ],
)
def test_value_that_does_not_fit(write: Write, key: str, value: str, reason: str) -> None:
    """A wrong type or a value out of range names the file, the key, what is allowed and what is there."""
    section, name, *_ = key.split(".")
    path = write(f"[{section}]\n{name} = {value}\n")
    environ = {"SESSIOND_STATE_DIR": "/x"}
    error = refused(path, environ=environ, overrides={"watch": {}})
    assert error.message.startswith(f"{path}: {key}: {reason}")
    assert (error.key, error.source) == (key, str(path))
    assert error.problems == ()


@pytest.mark.parametrize("text", ["watch = 3", "watch = 'sqlite:////x.db'", "[[watch]]\nroots = []"])
def test_section_that_is_no_table(write: Write, text: str) -> None:
    """The form a section must have is named, whatever else is given for it."""
    path = write(text)
    error = refused(path, overrides={"watch": {"depth": 1}})
    assert error.message == f"{path}: watch: must be a table, [watch]"
    assert (error.key, error.source) == ("watch", str(path))


@pytest.mark.parametrize(
    "listen",
    ["0.0.0.0:80", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", ":7717", "::1:7717", "7717",
     "127.0.0.2:7717", "example.org:7717", "localhost:7717 ", "localhost:+717", "localhost:\u0667"],
)  # fmt: skip
def test_listener_that_is_not_on_the_loopback(write: Write, listen: str) -> None:
    """Only the three names of the loopback and a usable port are taken, and the error says why."""
    error = refused(write(f'[control]\nlisten = "{listen}"\n'))
    assert "must be 127.0.0.1:PORT, [::1]:PORT or localhost:PORT with a port from 1 to 65535" in error.message
    assert "only programs on this machine" in error.message
    assert repr(listen) in error.message


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:7717", ("127.0.0.1", 7717)),
        ("[::1]:65535", ("::1", 65535)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_listener_on_the_loopback(write: Write, listen: str, address: tuple[str, int]) -> None:
    """The host and the port are told apart; without a listener there is no address."""
    assert load(write(f'[control]\nlisten = "{listen}"\n'), environ={}).control.address == address
    assert Config().control.address is None


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "localhost:3000", "http://localhost:3000/", "http://LOCALHOST:3000", "http://localhost:80",
     "https://localhost:443", "ftp://localhost", "http://localhost:99999", "http://*.example.org", "http://a/b"],
)  # fmt: skip
def test_origin_that_no_browser_sends(write: Write, origin: str) -> None:
    """An origin is compared as a browser writes it, so another form would never match; a star matches all."""
    error = refused(write(f'[control]\norigins = ["http://localhost:3000", "{origin}"]\n'))
    assert error.key == "control.origins.1"
    assert ("every web page" if origin == "*" else "as a browser sends it") in error.message


def test_origins_of_browsers(write: Write) -> None:
    """The forms browsers send are taken."""
    text = '["http://localhost:3000", "https://tools.example.org", "http://[::1]:3000", "http://127.0.0.1"]'
    found = load(write(f"[control]\norigins = {text}\n"), environ={}).control.origins
    assert len(found) == 4


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("SESSIOND_HOST_ID", "zzz", "daemon.host_id"),
        ("SESSIOND_STATE_DIR", "~nobody-we-know/x", "daemon.state_dir"),
        ("SESSIOND_RUNTIME_DIR", "~nobody-we-know/x", "daemon.runtime_dir"),
        ("SESSIOND_DATABASE_URL", "sqlite:///x\n", "database.url"),
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
    assert error.source in {"--database", "--state-dir", "--runtime-dir", "the command line"}


def test_home_of_the_configuration_itself() -> None:
    """A configuration file in a home that does not exist names the variable or option it came from."""
    error = refused(environ={"SESSIOND_CONFIG": "~nobody-we-know/x"})
    assert error.message == "SESSIOND_CONFIG: there is no home folder for ~nobody-we-know/x"
    assert "--config: there is no home" in refused(Path("~nobody-we-know/x")).message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[watch\n", "at line 1"),
        (b"watch = \xff\n", "it is not UTF-8 (byte 8)"),
        (b"[watch]\ndepth = 1\ndepth = 2\n", "Cannot overwrite"),
        (b"[watch]\ndepth = " + b"9" * 5000, "xceeds the limit"),
        (b"a = " + b"[" * 100_000, "it is nested too deeply"),
        (b"#" * 1_100_000, "it is larger than 1024 KiB"),
        (None, "No such file"),
    ],
)
def test_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """A named file that is missing or no TOML is an error that names it."""
    path = tmp_path / "broken.toml"
    if content is not None:
        path.write_bytes(content)
    for error in (refused(path), refused(environ={"SESSIOND_CONFIG": str(path)})):
        assert error.message.startswith(f"cannot read the configuration {path}: ")
        assert reason in error.message
        assert error.source == str(path)
        assert error.hint


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A folder is refused, and a pipe that nobody writes into is not waited for; /dev/null sets nothing."""
    assert "it is a folder" in refused(tmp_path).message
    os.mkfifo(tmp_path / "pipe")
    assert "it is a pipe" in refused(tmp_path / "pipe").message
    (tmp_path / "loop").symlink_to("loop")
    assert "Too many levels of symbolic links" in refused(tmp_path / "loop").message
    assert "NUL character" in refused(tmp_path / "a\0b").message
    assert load(Path(os.devnull), environ={}) == Config(source=os.devnull)


def test_usual_file_that_cannot_be_read_is_not_passed_over(home: Path) -> None:
    """A file in the usual place that is broken is an error too, since its settings were meant."""
    usual = home / ".config" / "sessiond" / "config.toml"
    usual.mkdir(parents=True)
    assert "it is a folder" in refused().message


def test_all_problems_are_told_at_once(write: Write) -> None:
    """One error carries everything that is wrong, from every source, and what does not fit together."""
    path = write(
        """
        zzz = 1
        watch = { root = [], depth = 99, roots = [7, "/x", ""] }
        sync = { first_delay = 9, longest_delay = 3 }
        log = 3
        daemon = { stale_after = "fast" }
        """
    )
    environ = {"SESSIOND_HOST_ID": "anvil"}
    lines = told(refused(path, environ=environ))
    for part in (
        "unknown key zzz (allowed here:",
        "unknown key watch.root (did you mean roots?)",
        "watch.depth: must be a whole number",
        "watch.roots.0: must be a path",
        "watch.roots.2: must be a path",
        "log: must be a table",
        "daemon.stale_after: must be a number",
        "SESSIOND_HOST_ID: daemon.host_id: must be a UUID",
        "sync.longest_delay: must be at least sync.first_delay, which is 9, not 3",
    ):
        assert [line for line in lines if part in line], part
    assert len(lines) == 9
    assert all(line.startswith((str(path), "SESSIOND_HOST_ID")) for line in lines)


def test_option_of_a_wrong_type() -> None:
    """A caller's mistake is told like a user's."""
    error = refused(overrides={"watch": {"depth": Path("/x")}})
    assert error.message == f"the command line: watch.depth: {DEPTH}'/x'"
