"""`sessionctl service status`: the manager's word and the daemon's own, and one exit code for both."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ctl import bare_ctl_fixture  # noqa: F401 - a fixture
from tests.services import ServiceCtl, answering, service_fixture  # noqa: F401 - a fixture
from tests.statuses import a_status


def _row(service: ServiceCtl, code: int, *words: object) -> dict[str, Any]:
    said = service("status", *words, "--json")
    assert said.code == code, said
    (row,) = json.loads(said.out)["rows"]
    found: dict[str, Any] = row
    return found


def test_nothing_installed_and_nothing_running(service: ServiceCtl) -> None:
    """Ends with 3 and says how to install it."""
    said = service("status")
    assert said.code == 3
    assert "not installed" in said.out
    assert "install it: sessionctl service install\n" in said.err
    row = _row(service, 3)
    assert (row["installed"], row["enabled"], row["pid"], row["daemon"]) == (False, False, None, None)


def test_a_service_that_is_not_started(service: ServiceCtl) -> None:
    """Ends with 3 and says how to start it; a failed one says why."""
    service.manager.installed(service.unit)
    said = service("status")
    assert (said.code, "start it: sessionctl service start\n" in said.err) == (3, True)
    service.manager.installed(
        service.unit, active="failed", result="exit-code", code=1, status=78, outdated="yes", restarts=4
    )
    said = service("status")
    assert said.code == 3
    assert "exit code 78: the configuration cannot be used" in said.out
    assert "the definition was changed since it was read" in said.err
    row = _row(service, 3)
    assert (row["state"], row["exit_code"], row["result"], row["restarts"]) == ("failed", 78, "exit-code", 4)
    assert row["definition_changed"] is True


@pytest.mark.parametrize(("stale", "code", "mirror"), [(False, 0, "fresh"), (True, 1, "7 folders are owed")])
def test_a_running_service_is_as_good_as_its_mirror(
    service: ServiceCtl, stale: bool, code: int, mirror: str
) -> None:
    """Ends with 0 when the daemon says it is fresh, and with 1 and its reasons when it says it is stale."""
    status = a_status(stale=stale, reasons=("7 folders are owed",) if stale else ())
    with answering(status) as runtime:
        service.manager.active(
            service.unit, status.pid, environment=f"SESSIOND_RUNTIME_DIR={runtime}", says="watching 1 root"
        )
        said = service("status")
        row = _row(service, code)
    assert said.code == code
    assert said.err == ""
    lines = [line.split(":", 1) for line in said.out.splitlines()]
    shown = {name: value.strip() for name, value in lines}
    assert shown["mirror"] == mirror
    assert (shown["state"], shown["process"], shown["says"]) == ("active", str(status.pid), "watching 1 root")
    assert (row["managed"], row["daemon"]["pid"], row["trouble"]) == (True, status.pid, None)


def test_a_daemon_that_is_not_the_service_s_is_told_apart(service: ServiceCtl) -> None:
    """A daemon started by hand answers, with or without a service beside it, or without any manager."""
    status = a_status()
    with answering(status) as runtime:
        service.environ({"SESSIOND_RUNTIME_DIR": str(runtime)})
        note = f"process {status.pid} answers, and is not the service's"
        said = service("status")
        assert (said.code, note in said.err) == (0, True)
        service.manager.installed(service.unit)
        said = service("status")
        assert (said.code, note in said.err, "start it" in said.err) == (0, True, False)
        service.manager.write("away", "Failed to connect to bus: No medium found\n")
        row = _row(service, 0)
        assert (row["managed"], row["state"]) == (False, None)
        assert "No medium found" in row["trouble"]


def test_without_a_manager_and_a_daemon(service: ServiceCtl) -> None:
    """Ends with 3 and the way to run without a service manager."""
    (service.manager.bin / "systemctl").unlink()
    said = service("status")
    assert said.code == 3
    assert "systemctl is not installed" in said.out
    assert "sessiond run --detach" in said.err


def test_a_process_that_does_not_answer_cannot_be_judged(service: ServiceCtl, tmp_path: Path) -> None:
    """While systemd sees a process that nobody can ask, the answer is 1: it runs, and may be stale."""
    service.manager.active(service.unit, 4711)
    row = _row(service, 1)
    assert "nothing listens" in row["trouble"]
    bad = tmp_path / "bad.toml"
    bad.write_text("[daemon\nruntime_dir\n")
    service.manager.active(service.unit, 4711, environment=f"SESSIOND_CONFIG={bad}")
    row = _row(service, 1)
    assert "cannot read the configuration" in row["trouble"]
    service.manager.installed(service.unit, environment=f"SESSIOND_CONFIG={bad}")
    _row(service, 3)


def test_the_system_service_is_looked_for_in_its_own_places(service: ServiceCtl) -> None:
    """--system asks the machine's systemd and the socket in /run/sessiond, not this user's."""
    with answering(a_status()) as runtime:
        service.environ({"SESSIOND_RUNTIME_DIR": str(runtime)})
        service.manager.installed(service.system_unit)
        row = _row(service, 3, "--system")
    assert row["service"] == str(service.system_unit)
    assert "/run/sessiond/control.sock" in row["trouble"]
