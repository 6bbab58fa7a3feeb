"""`sessionctl service` with systemd: start, stop, logs, and what stands in their way."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessionlib.cli.service.definitions import MARKER
from tests.ctl import bare_ctl_fixture  # noqa: F401 - a fixture
from tests.services import ServiceCtl, service_fixture  # noqa: F401 - a fixture


@contextmanager
def _another_daemon(state_dir: Path) -> Iterator[int]:
    """Hold the lock of a state folder in a process of its own."""
    code = (
        "import sys; from pathlib import Path; from sessiond.lock import InstanceLock\n"
        f"with InstanceLock(Path({str(state_dir)!r})):\n    print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.stdin.close()


def test_another_daemon_is_noticed(service: ServiceCtl) -> None:
    """A daemon started by hand is named at the installation, stops a start with 75, and is not stopped."""
    service.adopted()
    with _another_daemon(service.state) as pid:
        said = service.install()
        assert (said.code, f"another sessiond (process {pid}) holds {service.state}" in said.err) == (0, True)
        service.manager.calls()
        for verb in ("start", "restart"):
            said = service(verb)
            assert said.code == 75
            assert f"another sessiond (process {pid}), which is not the service's" in said.err
            assert "hint: stop that one first: sessiond stop" in said.err
        said = service("stop")
        assert (said.code, said.out) == (0, "the service does not run\n")
        assert f"another sessiond (process {pid}) runs" in said.err
        assert service.manager.calls() == []
        # The same process as the service's own is no other.
        service.manager.active(service.unit, pid)
        assert service("restart").code == 0
    assert service.manager.calls() == ["systemctl --user restart sessiond.service"]


def test_the_state_folder_of_the_unit_counts(service: ServiceCtl) -> None:
    """Where the unit names another state folder than this shell, that one is looked at."""
    other = service.home / "other state"
    service.manager.installed(service.unit, environment=f'"SESSIOND_STATE_DIR={other}" X=1')
    with _another_daemon(other) as pid:
        said = service("start")
    assert (said.code, f"process {pid}" in said.err) == (75, True)


def test_start_and_stop_call_systemd_once(service: ServiceCtl) -> None:
    """Each verb is one call, one that is not needed none, and a failed service is reset before its start."""
    service.manager.installed(service.unit)
    service.manager.active(service.unit, 4711, "after-start")
    said = service("start")
    assert (said.code, said.out.splitlines()[0]) == (0, "started the service, as process 4711")
    assert service("start").out == "the service runs already, as process 4711\n"
    service.manager.installed(service.unit, "after-stop")
    assert service("stop").out.splitlines()[0] == "stopped the service"
    assert service("stop").out == "the service does not run\n"
    service.manager.installed(service.unit, active="failed", result="start-limit-hit")
    service.manager.active(service.unit, 4712, "after-start")
    assert service("start").code == 0
    assert service.manager.calls() == [
        "systemctl --user start sessiond.service",
        "systemctl --user stop sessiond.service",
        "systemctl --user reset-failed sessiond.service",
        "systemctl --user start sessiond.service",
    ]


def test_a_service_that_is_about_to_be_tried_again_is_stopped(service: ServiceCtl) -> None:
    """Between two tries there is no process; a stop ends the tries, and a start is a start."""
    service.manager.installed(service.unit, active="activating", result="exit-code")
    assert service("stop").out.startswith("stopped the service\n")
    assert service("start").code == 0
    assert service.manager.calls() == [
        "systemctl --user stop sessiond.service",
        "systemctl --user start sessiond.service",
    ]


def test_dry_runs_of_the_other_verbs_touch_nothing(service: ServiceCtl) -> None:
    """Start, restart, stop and uninstall say what they would do."""
    service.adopted()
    service.install()
    service.manager.calls()
    for verb, said in (("start", "would start the service"), ("restart", "would restart the service")):
        assert service(verb, "--dry-run").out.startswith(said)
    service.manager.active(service.unit, 4711)
    assert service("stop", "--dry-run").out == (
        "would stop the service\n\nwould run: systemctl --user stop sessiond.service\n"
    )
    said = service("uninstall", "--dry-run")
    assert said.out.startswith(f"would remove {service.unit}\n")
    assert service.unit.exists()
    assert service.manager.calls() == []


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"result": "exit-code", "code": 1, "status": 78}, "exit code 78: the configuration cannot be used"),
        ({"result": "exit-code", "code": 1, "status": 217}, "exit code 217: its user does not exist"),
        ({"result": "exit-code", "code": 1, "status": 9}, "exit code 9"),
        ({"result": "timeout"}, "timeout"),
        ({"result": "signal", "code": 2, "status": 9}, "signal"),
        ({}, "failed: Job for sessiond.service failed."),
    ],
)
def test_a_start_that_fails_says_why(service: ServiceCtl, values: dict[str, object], why: str) -> None:
    """The exit code is explained, and the log is named."""
    service.manager.installed(service.unit)
    service.manager.write("fail-start", "Job for sessiond.service failed.\n")
    service.manager.installed(service.unit, "after-fail-start", active="failed", **values)
    said = service("start")
    assert said.code == 1
    first, hint = said.err.splitlines()
    assert first.startswith("sessionctl: the service did not start: ")
    assert why in first
    assert hint == "  hint: sessionctl service logs"


@pytest.mark.parametrize("verb", ["install", "uninstall", "start", "stop", "restart"])
def test_without_systemd_there_is_another_way(service: ServiceCtl, verb: str) -> None:
    """In a container, or where systemctl is missing, one sentence and the way to run without it."""
    service.unit.parent.mkdir(parents=True)
    service.unit.write_text(f"# {MARKER}\n")
    words = ["--allow-root", "--root", service.ctl.code] if verb == "install" else []
    service.manager.write("away", "System has not been booted.\nFailed to connect to bus: Host is down\n")
    said = service(verb, *words)
    assert (said.code, said.out) == (1, "")
    assert "Failed to connect to bus: Host is down" in said.err
    assert "sessiond run --detach" in said.err
    (service.manager.bin / "systemctl").unlink()
    said = service(verb, *words)
    assert said.code == 1
    assert "systemctl is not installed" in said.err
    assert "hint: start the daemon without one: sessiond run --detach" in said.err
    assert service.unit.read_text() == f"# {MARKER}\n"


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_what_is_not_installed_cannot_be_run(service: ServiceCtl, verb: str) -> None:
    """The way to install it is the hint, for the service that was meant."""
    said = service(verb, "--system")
    assert said.code == 1
    assert said.err.splitlines() == [
        "sessionctl: the service is not installed in systemd",
        "  hint: sessionctl service install --system",
    ]


def test_logs_come_from_the_journal(service: ServiceCtl) -> None:
    """The records of the unit, so many lines, followed if wanted; journalctl's exit code is ours."""
    service.manager.installed(service.unit)
    assert service("logs").code == 0
    service.manager.write("code", "7")
    assert service("logs", "--system", "-f", "-n", "5").code == 7
    assert service.manager.calls() == [
        "journalctl --user-unit=sessiond.service --lines=100 --no-pager",
        "journalctl --unit=sessiond.service --lines=5 --no-pager --follow",
    ]


def test_logs_come_from_the_configured_file(service: ServiceCtl) -> None:
    """Where the configuration names a log file, its end is shown; one that is not there is a sentence."""
    log = service.home / "my.log"
    config = service.home / "my.toml"
    config.write_text(f'[log]\nfile = "{log}"\n')
    said = service("logs", "--config", config)
    assert (said.code, f"there is no log {log} yet" in said.err) == (1, True)
    log.write_text("")
    assert service("logs", "--config", config, "-f", "-n", "3").code == 0
    assert service.manager.calls() == [f"tail -n 3 -F {log}"]


def test_logs_of_a_detached_daemon_are_found(service: ServiceCtl) -> None:
    """Without a service, the log of a detached daemon is shown; without that, the way to install is."""
    said = service("logs")
    assert (said.code, "hint: sessionctl service install" in said.err) == (1, True)
    service.state.mkdir()
    (service.state / "sessiond.log").write_text("")
    assert service("logs").code == 0
    assert service.manager.calls() == [f"tail -n 100 {service.state / 'sessiond.log'}"]


def test_a_systemd_that_hangs_is_a_sentence(service: ServiceCtl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question without an answer ends after a while."""
    monkeypatch.setattr("sessionlib.cli.service.runner._ANSWER_WITHIN", 0.2)
    service.manager.program("systemctl", "#!/bin/sh\nexec /bin/sleep 30\n")
    said = service("start")
    assert (said.code, "does not answer" in said.err) == (1, True)
