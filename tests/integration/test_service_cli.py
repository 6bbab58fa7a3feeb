"""`sessionctl service install` and `uninstall` with systemd: exact calls and files, and refusals."""

import os
import stat

import pytest

from sessionlib.cli.service.definitions import MARKER
from tests.ctl import bare_ctl_fixture  # noqa: F401 - a fixture
from tests.services import ServiceCtl, service_fixture  # noqa: F401 - a fixture

ADOPTED = ["systemctl --user daemon-reload", "systemctl --user enable sessiond.service"]


def test_an_installation_writes_shows_and_adopts(service: ServiceCtl) -> None:
    """The unit is written for all to read, systemd is told, and both are shown; nothing is started."""
    service.adopted()
    said = service.install()
    assert said.code == 0, said
    text = service.unit.read_text()
    assert text.startswith(f"# {MARKER}")
    assert stat.S_IMODE(service.unit.stat().st_mode) == 0o644
    program = service.manager.bin / "sessiond"
    assert f"\nExecStart={program} run --allow-root {service.ctl.code}\n" in text
    assert f"\nEnvironment=SESSIOND_STATE_DIR={service.state}\n" in text
    assert service.manager.calls() == ADOPTED
    lines = said.out.splitlines()
    assert lines[0] == f"wrote {service.unit}"
    assert f"ExecStart={program} run --allow-root {service.ctl.code}" in lines
    assert lines[-2:] == [f"ran: {call}" for call in ADOPTED]
    assert "start it: sessionctl service start\n" in said.err
    assert "`loginctl enable-linger`" in said.err


def test_a_second_installation_changes_nothing(service: ServiceCtl) -> None:
    """The same again is said to be unchanged, and neither writes nor calls anything."""
    service.adopted()
    service.install()
    service.manager.calls()
    before = service.unit.stat()
    service.manager.write("linger")
    said = service.install()
    assert (said.code, said.out) == (0, f"already installed, unchanged: {service.unit}\n")
    assert "linger" not in said.err
    assert service.manager.calls() == []
    after = service.unit.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    (row,) = service.ctl.json("service", "install", "--allow-root", "--root", service.ctl.code)
    assert (row["changed"], row["commands"], row["service"]) == (False, [], str(service.unit))
    assert row["definition"] == service.unit.read_text()


@pytest.mark.parametrize("values", [{"file": "disabled"}, {"outdated": "yes"}])
def test_an_unchanged_unit_is_adopted_where_systemd_has_not(
    service: ServiceCtl, values: dict[str, str]
) -> None:
    """An installation that was interrupted between the file and systemd is finished by the next."""
    service.adopted()
    service.install()
    service.manager.calls()
    service.manager.installed(service.unit, **values)
    said = service.install()
    assert service.manager.calls() == ADOPTED
    assert "is unchanged; systemd of this user has read it anew" in said.out


def test_a_change_is_shown_as_a_difference(service: ServiceCtl) -> None:
    """Another root rewrites the unit and shows old and new line; a running service is to be restarted."""
    service.adopted()
    service.install()
    more = service.home / "more code"
    more.mkdir()
    service.manager.active(service.unit, os.getpid())
    said = service.install("--root", more)
    assert said.code == 0
    start = f"ExecStart={service.manager.bin / 'sessiond'} run --allow-root {service.ctl.code}"
    assert f'\n-{start}\n+{start} "{more}"\n' in said.out
    assert said.out.startswith(f"changed {service.unit}\n")
    assert "runs with the old definition until: sessionctl service restart" in said.err
    assert f'"{more}"' in service.unit.read_text()


def test_a_dry_run_touches_nothing(service: ServiceCtl) -> None:
    """It shows the whole unit and the commands, even where systemd does not run."""
    service.manager.write("away", "Failed to connect to bus: No medium found\n")
    said = service.install("--dry-run")
    assert said.code == 0
    assert "# TERM goes to the daemon alone" in said.out
    assert said.out.endswith("".join(f"would run: {call}\n" for call in ADOPTED))
    assert said.out.startswith(f"would write {service.unit}\n")
    assert not service.unit.parent.exists()
    assert service.manager.calls() == []


def test_the_variables_of_the_shell_go_with_it(service: ServiceCtl) -> None:
    """What this shell says about places, host and database goes into the unit."""
    config = service.home / "my.toml"
    config.write_text(f'[watch]\nroots = ["{service.ctl.code}"]\n[daemon]\ndrain_deadline = 60\n')
    service.environ(
        {
            "SESSIOND_CONFIG": str(config),
            "SESSIOND_RUNTIME_DIR": "run",
            "SESSIOND_HOST_ID": "00000000-0000-4000-8000-000000000001",
            "SESSIOND_DATABASE_URL": "postgresql://me@host/db",
        }
    )
    service.adopted()
    assert service("install", "--allow-root").code == 0
    lines = service.unit.read_text().splitlines()
    assert [line for line in lines if line.startswith("Environment=")] == [
        f"Environment=SESSIOND_CONFIG={config}",
        "Environment=SESSIOND_DATABASE_URL=postgresql://me@host/db",
        "Environment=SESSIOND_HOST_ID=00000000-0000-4000-8000-000000000001",
        f"Environment=SESSIOND_RUNTIME_DIR={service.home / 'run'}",
        f"Environment=SESSIOND_STATE_DIR={service.state}",
    ]
    assert "TimeoutStopSec=75s" in lines
    assert f"ExecStart={service.manager.bin / 'sessiond'} run --allow-root" in lines


def test_xdg_folders_of_the_shell_go_with_it(service: ServiceCtl) -> None:
    """Folders that XDG variables have moved are named; a configured one is left to the file."""
    service.monkeypatch.delenv("SESSIOND_STATE_DIR")
    service.environ({"XDG_STATE_HOME": str(service.home / "xdg-state")})
    config = service.home / "config/sessiond/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("")
    service.adopted()
    service.install()
    text = service.unit.read_text()
    assert f"\nEnvironment=SESSIOND_CONFIG={config}\n" in text
    assert f"\nEnvironment=SESSIOND_STATE_DIR={service.home / 'xdg-state/sessiond'}\n" in text
    config.write_text(f'[daemon]\nstate_dir = "{service.state}"\n')
    service.install()
    assert "SESSIOND_STATE_DIR" not in service.unit.read_text()
    service.environ({"XDG_STATE_HOME": str(service.home / ".local/state")})
    config.write_text("")
    service.install()
    assert "SESSIOND_STATE_DIR" not in service.unit.read_text()


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ({"SESSIOND_DATABASE_URL": "postgresql://me:hush@host/db"}, []),
        ({}, ["--database", "postgresql://me:hush@h/d"]),
    ],
)
def test_a_password_never_gets_into_a_unit(
    service: ServiceCtl, variable: dict[str, str], words: list[str]
) -> None:
    """A URL with a password is refused with the places that are meant for it, and not repeated."""
    service.environ(variable)
    said = service.install(*words)
    assert (said.code, said.out) in ((2, ""), (78, ""))
    assert "hush" not in said.err
    assert "password" in said.err
    assert not service.unit.exists()


def test_there_must_be_something_to_watch(service: ServiceCtl) -> None:
    """Without roots in the configuration or on the line it is refused, and so is a root that is a file."""
    said = service("install", "--allow-root")
    assert said.code == 2
    assert said.err.splitlines()[0] == "sessionctl: the service has no folder to watch"
    file = service.home / "file"
    file.write_text("")
    said = service("install", "--allow-root", "--root", file)
    assert (said.code, "is not a folder" in said.err) == (2, True)
    service.adopted()
    said = service("install", "--allow-root", "--root", service.home / "later")
    assert (said.code, f"{service.home / 'later'} is not there yet" in said.err) == (0, True)


def test_a_bad_configuration_is_not_installed(service: ServiceCtl) -> None:
    """The configuration the service will read is read first."""
    bad = service.home / "bad.toml"
    bad.write_text("[watch]\nroot = []\n")
    said = service.install("--config", bad)
    assert (said.code, "did you mean roots?" in said.err) == (78, True)
    assert not service.unit.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")
def test_root_is_refused_as_the_daemon_refuses_it(service: ServiceCtl) -> None:
    """A service of the user root would only fail at its start."""
    said = service("install", "--root", service.ctl.code)
    assert (said.code, "does not run as root" in said.err) == (2, True)


def test_what_others_wrote_is_replaced_only_on_demand(service: ServiceCtl) -> None:
    """A unit without our line, or a link, stops the installation unless --yes; uninstall leaves it."""
    service.unit.parent.mkdir(parents=True)
    service.unit.write_text("[Service]\nExecStart=/bin/true\n")
    for _ in range(2):
        said = service.install()
        assert (said.code, "was not written by `sessionctl service install`" in said.err) == (1, True)
        said = service("uninstall")
        assert (said.code, "it stays" in said.err) == (1, True)
        assert os.path.lexists(service.unit)
        service.unit.unlink()
        service.unit.symlink_to("/dev/null")
    assert service.manager.calls() == []
    service.adopted()
    assert service.install("--yes").code == 0
    assert MARKER in service.unit.read_text()
    assert not service.unit.is_symlink()


@pytest.mark.parametrize(
    "place",
    ["etc/systemd/system/sessiond.service", "usr/lib/systemd/user/sessiond.service"]
    + [f"Library/{folder}/org.sessiond.sessiond.plist" for folder in ("LaunchAgents", "LaunchDaemons")],
)
def test_another_definition_is_noticed(service: ServiceCtl, place: str) -> None:
    """A second definition of the service is named and stops the installation, unless one insists."""
    other = service.home / place
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_text("[Service]\n")
    said = service.install()
    assert (said.code, str(other) in said.err, service.unit.exists()) == (1, True, False)
    service.adopted()
    assert service.install("--yes").code == 0
    assert other.read_text() == "[Service]\n"


def test_an_uninstallation_stops_removes_and_keeps_the_data(service: ServiceCtl) -> None:
    """The unit goes, systemd forgets it, data and drop-ins stay and are named; a second time is no error."""
    service.adopted()
    service.install()
    service.manager.calls()
    service.state.mkdir()
    drop_in = service.unit.with_name("sessiond.service.d")
    drop_in.mkdir()
    said = service("uninstall")
    assert said.code == 0
    assert not service.unit.exists()
    assert service.manager.calls() == [
        "systemctl --user disable --now sessiond.service",
        "systemctl --user daemon-reload",
        "systemctl --user reset-failed sessiond.service",
    ]
    assert f"the data stays in {service.state}\n" in said.err
    assert f"your drop-ins stay in {drop_in}\n" in said.err
    said = service("uninstall")
    assert (said.code, said.out) == (0, f"not installed: there is no {service.unit}\n")
    assert service.manager.calls() == []


def test_a_failing_systemd_is_quoted(service: ServiceCtl) -> None:
    """When systemd refuses, the command and its words are the message; the unit that is written stays."""
    service.adopted()
    service.manager.write("fail-enable", "Failed to enable unit: Unit file is masked.\n")
    said = service.install()
    assert said.code == 1
    assert said.err.splitlines()[0] == (
        "sessionctl: `systemctl --user enable sessiond.service` failed: "
        "Failed to enable unit: Unit file is masked."
    )
    assert service.unit.exists()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"load": "not-found"}, "does not look into"),
        ({"path": "/elsewhere/sessiond.service"}, "takes /elsewhere/sessiond.service before"),
        ({"load": "masked"}, "the service is masked"),
    ],
)
def test_a_unit_that_systemd_does_not_take_is_a_sentence(
    service: ServiceCtl, values: dict[str, str], said: str
) -> None:
    """Another XDG_CONFIG_HOME, a unit that comes before ours and a masked one are told apart."""
    service.manager.installed(**({"path": service.unit, "name": "after-daemon-reload"} | values))
    done = service.install()
    assert (done.code, said in done.err, "hint: " in done.err) == (1, True, True)


def test_the_system_service_takes_nothing_from_the_shell(service: ServiceCtl) -> None:
    """The machine's unit keeps its own folders; only options get in, and only those that fit."""
    service.manager.installed(service.system_unit, "after-daemon-reload")
    said = service("install", "--system", "--root", "/srv/code")
    assert said.code == 0, said
    text = service.system_unit.read_text()
    assert [line for line in text.splitlines() if line.startswith("Environment=")] == [
        "Environment=SESSIOND_STATE_DIR=%S/sessiond",
        "Environment=SESSIOND_RUNTIME_DIR=%t/sessiond",
        "Environment=XDG_CONFIG_HOME=/etc",
    ]
    assert "\nUser=sessiond\n" in text
    assert service.manager.calls() == [call.replace(" --user", "") for call in ADOPTED]
    assert "useradd --system" in said.err
    assert "linger" not in said.err
    said = service("install", "--system", "--root", "/srv/code", "--state-dir", "/x")
    assert (said.code, "/var/lib/sessiond" in said.err) == (2, True)


def test_the_system_service_has_its_own_configuration(service: ServiceCtl) -> None:
    """/etc/sessiond/config.toml is read for it, not that of whoever installs it; --config names another."""
    service.manager.installed(service.system_unit, "after-daemon-reload")
    mine = service.home / "config/sessiond/config.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text('[watch]\nroots = ["/srv/code"]\n')
    assert service("install", "--system").code == 2
    theirs = service.home / "etc/sessiond/config.toml"
    theirs.parent.mkdir(parents=True)
    theirs.write_text('[watch]\nroots = ["/srv/code"]\n')
    assert service("install", "--system").code == 0
    assert service("install", "--system", "--config", mine).code == 0
    assert f"\nEnvironment=SESSIOND_CONFIG={mine}\n" in service.system_unit.read_text()


def test_a_folder_that_may_not_be_written_names_sudo(
    service: ServiceCtl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is not allowed to install for the machine is told how."""

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", denied)
    said = service("install", "--system", "--root", "/srv/code")
    assert said.code == 1
    assert said.err.splitlines() == [
        f"sessionctl: cannot write {service.system_unit}: Permission denied",
        "  hint: run it with sudo",
    ]


def test_the_program_beside_this_one_is_taken(service: ServiceCtl, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sessiond` is looked for beside sessionctl, beside the interpreter and on the path."""
    from sessionlib.cli.service.launch import find_program  # noqa: PLC0415
    from sessionlib.errors import UsageError  # noqa: PLC0415

    assert find_program() == service.manager.bin / "sessiond"
    elsewhere = service.home / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("sys.argv", [str(elsewhere / "sessionctl")])
    monkeypatch.setattr("sys.executable", str(elsewhere / "python"))
    assert find_program() == service.manager.bin / "sessiond"
    (service.manager.bin / "sessiond").chmod(0o644)
    with pytest.raises(UsageError, match="neither beside sessionctl nor on the PATH"):
        find_program()
