"""What the daemon's process may do: nothing it was not told to, seen from outside."""

import os
import re
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessiond.watch.inotify import Inotify
from tests import builders
from tests.acceptance.processes import Daemon, direct, environment
from tests.ports import free_port

pytestmark = pytest.mark.timeout(120)

Wait = Callable[..., None]
_LISTENING = "0A"
_IN_OPEN = 0x20
"""See inotify(7)."""


@pytest.fixture
def daemon(sqlite_url: str, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with one project, started by somebody whose umask hides nothing and who may leave cores."""
    builders.make_project(tmp_path / "code" / "shop", {"wall": builders.v2(session_id="wall")})
    Path(sqlite_url.removeprefix("sqlite:///")).unlink()
    environ = environment("", tmp_path / "state", HOME=str(tmp_path))
    before, cores = os.umask(0), resource.getrlimit(resource.RLIMIT_CORE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (cores[1], cores[1]))
        made = Daemon([tmp_path / "code"], environ, tmp_path / "daemon.log").start()
    finally:
        os.umask(before)
        resource.setrlimit(resource.RLIMIT_CORE, cores)
    yield made
    made.stop(signal.SIGKILL)


def sockets_of(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    links = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(os.readlink(entry))  # noqa: PTH115 - Path.readlink makes a path of what is none
        except FileNotFoundError:
            continue
    return {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:")}


def test_everything_it_makes_is_its_own(daemon: Daemon, wait_until: Wait) -> None:
    """With an open umask around it: folders 0700, files, database, socket 0600, without an exception."""
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
    assert daemon.client.canary()["arrived"]
    found = {path: path.lstat() for path in [daemon.state_dir, *daemon.state_dir.rglob("*")]}
    assert {"mirror.db", "control.sock", "sessiond.lock", "status.json"} <= {path.name for path in found}
    open_to_others = {str(path): oct(seen.st_mode) for path, seen in found.items() if seen.st_mode & 0o077}
    assert open_to_others == {}
    # The mask is the process's, not only that of the files we thought of.
    (line,) = [
        one for one in Path(f"/proc/{daemon.pid}/status").read_text().splitlines() if one.startswith("Umask")
    ]
    assert line.split()[1] == "0077"


def test_it_talks_to_nobody_it_was_not_told_of(daemon: Daemon, wait_until: Wait) -> None:
    """With SQLite and no listener there is no TCP or UDP socket at all, neither out nor in."""
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
    ours = sockets_of(daemon.pid)
    for table in ("tcp", "tcp6", "udp", "udp6", "raw"):
        rows = Path(f"/proc/{daemon.pid}/net/{table}").read_text().splitlines()[1:]
        assert not [row for row in rows if row.split()[9] in ours], table


def test_a_listener_is_this_machines_alone(sqlite_url: str, tmp_path: Path, wait_until: Wait) -> None:
    """What listens by TCP is bound to 127.0.0.1, never to every address."""
    (tmp_path / "code").mkdir()
    config = tmp_path / "config.toml"
    config.write_text(f'[control]\nlisten = "localhost:{free_port()}"\n')
    environ = environment(sqlite_url, tmp_path / "state", HOME=str(tmp_path), SESSIOND_CONFIG=str(config))
    daemon = Daemon([tmp_path / "code"], environ, tmp_path / "daemon.log").start()
    try:
        wait_until(lambda: daemon.client.status().listen, "the listener")
        ours, bound = sockets_of(daemon.pid), []
        for table in ("tcp", "tcp6"):
            for row in Path(f"/proc/{daemon.pid}/net/{table}").read_text().splitlines()[1:]:
                fields = row.split()
                if fields[9] in ours and fields[3] == _LISTENING:
                    bound.append((table, fields[1].partition(":")[0]))
        assert bound == [("tcp", "0100007F")]
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_crash_leaves_no_core(daemon: Daemon) -> None:
    """A core would hold the password and whatever was being mirrored."""
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("nobody may leave a core here")
    lines = Path(f"/proc/{daemon.pid}/limits").read_text().splitlines()
    (limit,) = [line for line in lines if line.startswith("Max core file size")]
    assert limit.split()[4] == "0"


def test_a_path_in_a_document_is_never_opened(daemon: Daemon, tmp_path: Path, wait_until: Wait) -> None:
    """Nobody opens what a document names as a file; our own look shows that it would have been seen."""
    secret = tmp_path / "trap" / "secret"
    secret.parent.mkdir()
    secret.write_text("nothing for others")
    watch = Inotify()
    watch.watch(str(secret.parent), _IN_OPEN)
    keys = ("plan", "plan_path", "plan_file", "transcript_path", "document", "path", "file", "spec", "log")
    odd = {key: str(secret) for key in keys} | {"documents": [str(secret)], "session_id": str(secret)}
    root = tmp_path / "code" / "shop" / "agents" / "sessions"
    builders.make_session(root, "trap", builders.v2() | odd)
    builders.make_session(root, "climb", builders.v2(session_id="../../../../etc/passwd") | odd)
    url = f"sqlite:///{daemon.state_dir / 'mirror.db'}"
    wait_until(lambda: len(direct(url, "SELECT slug FROM sessions")) == 3, "the sessions")
    assert daemon.client.rescan()["totals"]["sessions"] == 3
    keys_stored = direct(url, "SELECT slug, root FROM sessions ORDER BY slug")
    assert keys_stored == [(name, "agents/sessions") for name in ("climb", "trap", "wall")]
    watch.wake()
    assert watch.read() == b""
    secret.read_text()
    assert b"secret" in watch.read()
    watch.close()


def test_what_a_document_says_is_no_statement_and_no_format(
    daemon: Daemon, tmp_path: Path, wait_until: Wait
) -> None:
    """SQL, format strings and control characters in every text of a document are stored as they stand."""
    texts = (
        "'; DROP TABLE sessions; --",
        '"; DELETE FROM projects; --',
        "%s %n %(password)s %x",
        "{0.__class__.__init__.__globals__} {secret}",
        "${HOME} $(touch sprung) `touch sprung`",
        "\x1b[2J\rlevel=error event=forged\nts=2026 level=error event=forged.line",
        "../../../../etc/passwd",
    )
    root = tmp_path / "code" / "shop" / "agents" / "sessions"
    for number, text in enumerate(texts):
        builders.make_session(root, f"odd-{number}", builders.v2(topic=text, description=text))
    url = f"sqlite:///{daemon.state_dir / 'mirror.db'}"
    wait_until(lambda: len(direct(url, "SELECT slug FROM sessions")) == len(texts) + 1, "the sessions")
    stored = dict(direct(url, "SELECT slug, topic FROM sessions"))
    assert [stored[f"odd-{number}"] for number in range(len(texts))] == list(texts)
    shown = {row["slug"]: row["topic"] for row in daemon.client.sessions(limit=50)["rows"]}
    assert [shown[f"odd-{number}"] for number in range(len(texts))] == list(texts)
    assert not list(tmp_path.rglob("sprung"))
    assert "event=forged" not in daemon.log
    assert stat.S_ISDIR(root.stat().st_mode)


STARTS = re.compile(r'\[\s*sys\.executable, ("[^"]*")')
PRODUCT = Path(__file__).parents[2]


def test_a_project_does_not_say_what_is_imported(tmp_path: Path) -> None:
    """Neither a command that is run in its folder, nor a process that one of ours starts there."""
    for name in ("orjson", "sqlalchemy", "json", "sessionlib"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w')\n")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "sessionctl"), "sync", "."],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "SESSIOND_STATE_DIR": str(tmp_path / "state"), "SESSIOND_CONFIG": ""},
        capture_output=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    starts = [
        start.group(1)
        for part in ("sessionlib", "daemon")
        for path in sorted((PRODUCT / part).rglob("*.py"))
        for start in STARTS.finditer(path.read_text())
    ]
    # -P: not what lies in the working folder; -I: nor what the environment names.
    assert sorted(starts) == ['"-I"', '"-P"']
    assert not (tmp_path / "imported").exists()
