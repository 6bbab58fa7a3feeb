"""Stand-ins for the programs of service managers: real executables that write down how they were called.

`systemctl` answers `show` with what real ones printed (systemd 252), and goes from one such answer to the
next when a verb is called. A test module imports the fixtures it uses.
"""

import http.server
import json
import shutil
import socketserver
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sessionlib.cli.service import launch, neighbours
from sessionlib.control.status import Status
from tests.ctl import Ctl

_SHOWN = """\
MainPID={pid}
StatusText={says}
Result={result}
NRestarts={restarts}
ExecMainCode={code}
ExecMainStatus={status}
Environment={environment}
LoadState={load}
ActiveState={active}
FragmentPath={path}
UnitFileState={file}
NeedDaemonReload={outdated}
"""
_ABSENT = {
    "pid": 0,
    "says": "",
    "result": "success",
    "restarts": 0,
    "code": 0,
    "status": 0,
    "environment": "",
    "load": "not-found",
    "active": "inactive",
    "path": "",
    "file": "",
    "outdated": "no",
}
_SYSTEMCTL = """\
#!/bin/sh
here={here}
echo "${{0##*/}} $*" >> "$here/calls"
[ "$1" = --user ] && shift
if [ -e "$here/away" ]; then /bin/cat "$here/away" >&2; exit 1; fi
case "$*" in
show*--value) echo 252.38-1~deb12u1; exit 0;;
show*) /bin/cat "$here/show"; exit 0;;
esac
if [ -e "$here/fail-$1" ]; then
    [ -e "$here/after-fail-$1" ] && /bin/mv "$here/after-fail-$1" "$here/show"
    /bin/cat "$here/fail-$1" >&2
    exit 1
fi
[ -e "$here/after-$1" ] && /bin/mv "$here/after-$1" "$here/show"
exit 0
"""
_LOGINCTL = """\
#!/bin/sh
[ -e {here}/linger ] && echo yes || echo no
"""
_NOTED = """\
#!/bin/sh
echo "${{0##*/}} $*" >> {here}/calls
[ -e {here}/code ] && exit "$(/bin/cat {here}/code)"
exit 0
"""
_LAUNCHCTL = """\
#!/bin/sh
here={here}
echo "${{0##*/}} $*" >> "$here/calls"
case "$1" in
print) [ -e "$here/loaded" ] || exit 113; /bin/cat "$here/loaded";;
bootstrap) printf 'gui/0/x = {{\\n\\tstate = running\\n\\tpid = 4711\\n}}\\n' > "$here/loaded";;
bootout) /bin/rm -f "$here/loaded";;
esac
"""


class FakeManager:
    """The folder of the stand-ins, and what they answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for name, text in (
            ("systemctl", _SYSTEMCTL),
            ("loginctl", _LOGINCTL),
            ("journalctl", _NOTED),
            ("tail", _NOTED),
            ("launchctl", _LAUNCHCTL),
            ("sessiond", "#!/bin/sh\n"),
        ):
            self.program(name, text.format(here=folder))
        self.show()

    def program(self, name: str, text: str) -> Path:
        """Put an executable on the path."""
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def show(self, name: str = "show", **values: object) -> None:
        """Answer `show` so; `after-VERB` from that verb on."""
        (self.folder / name).write_text(_SHOWN.format(**(_ABSENT | values)))

    def installed(self, path: Path, name: str = "show", **values: object) -> None:
        """Answer `show` as for a loaded and enabled unit."""
        loaded: dict[str, object] = {"load": "loaded", "file": "enabled", "path": path}
        self.show(name, **(loaded | values))

    def active(self, path: Path, pid: int, name: str = "show", **values: object) -> None:
        """Answer `show` as for a running service."""
        running: dict[str, object] = {"active": "active", "pid": pid, "says": "fresh"}
        self.installed(path, name, **(running | values))

    def write(self, name: str, text: str = "") -> None:
        """Leave a word for a stand-in."""
        (self.folder / name).write_text(text)

    def calls(self) -> list[str]:
        """Return and forget the calls, but those that only look."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in lines if " show " not in line and not line.startswith("launchctl print")]


class ServiceCtl:
    """`sessionctl service` with stand-ins, a home and folders of its own."""

    def __init__(self, ctl: Ctl, manager: FakeManager, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ctl = ctl
        self.manager = manager
        self.monkeypatch = monkeypatch
        self.home = ctl.home
        self.unit = ctl.home / "config/systemd/user/sessiond.service"
        self.system_unit = ctl.home / "etc/systemd/system/sessiond.service"
        self.state = ctl.home / "state"

    def __call__(self, *words: object) -> Any:
        return self.ctl("service", *words)

    def install(self, *words: object) -> Any:
        """Install for this user, watching the code folder; stays right for a test run as root."""
        return self("install", "--allow-root", "--root", self.ctl.code, *words)

    def adopted(self, **values: object) -> None:
        """Let systemd know the unit once it is told to look."""
        self.manager.installed(self.unit, "after-daemon-reload", **values)

    def environ(self, values: Mapping[str, str]) -> None:
        """Set variables."""
        for name, value in values.items():
            self.monkeypatch.setenv(name, value)


@pytest.fixture(name="service")
def service_fixture(bare_ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> ServiceCtl:
    """`sessionctl service` that reaches nothing of this machine."""
    home = bare_ctl.home
    manager = FakeManager(home / "manager")
    monkeypatch.setenv("PATH", str(manager.bin))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("SESSIOND_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("SESSIOND_HOST_ID", raising=False)
    monkeypatch.setattr("sys.argv", [str(manager.bin / "sessionctl")])
    monkeypatch.setattr(neighbours, "SYSTEM_UNITS", home / "etc/systemd/system")
    monkeypatch.setattr(neighbours, "SHIPPED_UNITS", (home / "usr/lib/systemd/user",))
    monkeypatch.setattr(neighbours, "SHARED_AGENTS", (home / "Library/LaunchDaemons",))
    monkeypatch.setattr(launch, "SYSTEM_CONFIG_HOME", home / "etc")
    (home / "etc").mkdir()
    return ServiceCtl(bare_ctl, manager, monkeypatch)


class _OneStatus(http.server.BaseHTTPRequestHandler):
    """Answers every GET with the server's status."""

    server: "_Server"

    def do_GET(self) -> None:
        """Answer."""
        body = json.dumps(self.server.status.to_json()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """There is no address on a Unix socket."""
        return "-"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    status: Status


@contextmanager
def answering(status: Status) -> Iterator[Path]:
    """Serve a status on a control socket; yields the runtime folder, whose path is short enough."""
    folder = Path(tempfile.mkdtemp())
    with _Server(str(folder / "control.sock"), _OneStatus) as server:
        server.status = status
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield folder
        finally:
            server.shutdown()
            thread.join()
            shutil.rmtree(folder)
