"""`sessionctl service` on macOS: the property list and the calls of launchctl, played on any machine."""

import os
import plistlib
import stat

import pytest

from sessionlib.cli.service import managers
from tests.ctl import bare_ctl_fixture  # noqa: F401 - a fixture
from tests.services import ServiceCtl, service_fixture

TARGET = f"gui/{os.getuid()}/org.sessiond.sessiond"


@pytest.fixture(name="agent")
def agent_fixture(service: ServiceCtl, monkeypatch: pytest.MonkeyPatch) -> ServiceCtl:
    """`sessionctl service` as on macOS."""
    monkeypatch.setattr(managers, "PLATFORM", "darwin")
    service.unit = service.home / "Library/LaunchAgents/org.sessiond.sessiond.plist"
    return service


__all__ = ["service_fixture"]


def test_an_agent_is_written_and_allowed(agent: ServiceCtl) -> None:
    """The list has absolute paths and the shell's variables; launchctl is told, once."""
    said = agent.install()
    assert said.code == 0, said
    tree = plistlib.loads(agent.unit.read_bytes())
    assert tree["ProgramArguments"] == [
        str(agent.manager.bin / "sessiond"),
        "run",
        "--allow-root",
        str(agent.ctl.code),
    ]
    assert tree["EnvironmentVariables"]["SESSIOND_STATE_DIR"] == str(agent.state)
    assert tree["StandardErrorPath"] == str(agent.home / "Library/Logs/sessiond.log")
    assert stat.S_IMODE(agent.unit.stat().st_mode) == 0o644
    assert agent.manager.calls() == [f"launchctl enable {TARGET}"]
    assert "linger" not in said.err
    assert agent.install().out == f"already installed, unchanged: {agent.unit}\n"
    assert agent.manager.calls() == []


def test_an_agent_is_loaded_unloaded_and_removed(agent: ServiceCtl) -> None:
    """Start loads it, restart loads it anew, stop and uninstall unload it; each once."""
    agent.install()
    agent.manager.calls()
    domain = TARGET.rsplit("/", 1)[0]
    load, unload = f"launchctl bootstrap {domain} {agent.unit}", f"launchctl bootout {TARGET}"
    assert agent("start").out.splitlines()[0] == "started the service, as process 4711"
    assert agent("start").out == "the service runs already, as process 4711\n"
    assert agent.manager.calls() == [load]
    assert agent("restart", "--dry-run").out.splitlines()[2:] == [
        f"would run: {unload}",
        f"would run: {load}",
    ]
    assert agent("restart").code == 0
    assert agent.manager.calls() == [unload, load]
    assert agent("stop").out.startswith("stopped the service\n")
    assert agent("stop").out == "the service does not run\n"
    agent("start")
    said = agent("uninstall")
    assert said.out.startswith(f"removed {agent.unit}\n")
    assert not agent.unit.exists()
    assert agent.manager.calls() == [unload, load, unload]


def test_an_agent_that_has_crashed_says_so(agent: ServiceCtl) -> None:
    """A loaded job without a process shows its last exit code; a start kicks it."""
    agent.install()
    agent.manager.calls()
    parts = "\tsubjob = {\n\t\tpid = 1\n\t}\n"
    agent.manager.write(
        "loaded", f"{TARGET} = {{\n\tstate = not running\n{parts}\tlast exit code = 78: EX_CONFIG\n}}\n"
    )
    said = agent("status")
    assert said.code == 3
    assert "exit code 78: the configuration cannot be used" in said.out
    agent("start")
    assert agent.manager.calls() == [f"launchctl kickstart {TARGET}"]


def test_the_log_of_an_agent_is_a_file(agent: ServiceCtl) -> None:
    """The end of the file that the list names is shown."""
    agent.install()
    agent.manager.calls()
    log = agent.home / "Library/Logs/sessiond.log"
    assert f"there is no log {log} yet" in agent("logs").err
    log.parent.mkdir(parents=True)
    log.write_text("")
    assert agent("logs", "-f").code == 0
    assert agent.manager.calls() == [f"tail -n 100 -F {log}"]


def test_there_is_no_system_agent(agent: ServiceCtl) -> None:
    """--system is refused with what there is instead."""
    said = agent("status", "--system")
    assert (said.code, "runs as an agent of a user" in said.err) == (2, True)


def test_without_launchctl_there_is_another_way(agent: ServiceCtl) -> None:
    """Where launchctl is missing, the way to run without it is named."""
    agent.install()
    (agent.manager.bin / "launchctl").unlink()
    said = agent("start")
    assert (said.code, "sessiond run --detach" in said.err) == (1, True)


def test_a_list_that_cannot_be_read_is_no_crash(agent: ServiceCtl) -> None:
    """A damaged list can be looked at, and has no log."""
    agent.unit.parent.mkdir(parents=True)
    agent.unit.write_text("<plist")
    assert agent("status").code == 3
    assert "names no log file" in agent("logs").err
