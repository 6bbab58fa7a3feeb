"""`session-hook` as a process: what it stores, what it never does, and how little it needs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sessionlib.hooks import entry
from sessionlib.journal.spool import Spool
from sessionlib.models.base import utc_now

Hook = Callable[..., subprocess.CompletedProcess[bytes]]

PAYLOAD = b'{"session_id": "4a84", "hook_event_name": "Stop"}'


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A spool that does not exist yet."""
    return Spool(tmp_path / "state" / "spool")


@pytest.fixture
def hook(spool: Spool) -> Hook:
    """Run the hook as a client would, in a folder of its own choice and with hardly any environment."""

    def run(
        payload: bytes = PAYLOAD, *arguments: str, environ: Mapping[str, str] | None = None, **more: object
    ) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-I", "-S", str(entry.__file__), "--spool", str(spool.folder), *arguments]
        return subprocess.run(
            command,
            input=payload,
            capture_output=True,
            env=dict(environ or {}),
            timeout=20,
            check=False,
            **more,
        )  # type: ignore[call-overload]

    return run


def test_a_delivery_comes_back_as_it_was_given(spool: Spool, hook: Hook) -> None:
    """Payload, event, time, and what the environment says of identity and session are all there."""
    before = utc_now()
    environ = {"CLAUDE_PROJECT_DIR": "/home/dev/a\nb\\c", "SESSIOND_SESSION": "s1", "OTHER": "no"}
    done = hook(PAYLOAD, "Stop", environ=environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (name,) = spool.names(10)
    delivery = spool.read(name)
    assert (delivery.client, delivery.event, delivery.body) == ("claude-code", "Stop", PAYLOAD)
    assert (delivery.size, delivery.cut) == (len(PAYLOAD), None)
    assert before <= delivery.at <= utc_now()
    assert delivery.context == {"CLAUDE_PROJECT_DIR": "/home/dev/a\nb\\c", "SESSIOND_SESSION": "s1"}
    assert spool.inbox.joinpath(name).stat().st_mode & 0o777 == 0o600
    assert spool.inbox.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("payload", [b"", b"\0\xff\xfe" * 1000, b'{"session_id": "4a', b"\n\n", b"a: b\n\nc"])
def test_whatever_is_said_is_stored_as_bytes(spool: Spool, hook: Hook, payload: bytes) -> None:
    """Empty, binary and broken input is stored too; what it means is decided later."""
    assert hook(payload).returncode == 0
    (name,) = spool.names(10)
    assert spool.read(name).body == payload


def test_of_a_huge_input_both_ends_are_kept(spool: Spool, hook: Hook) -> None:
    """The whole length is told, and where bytes are missing."""
    payload = b"<" + os.urandom(1) * (entry.HEAD + entry.TAIL + 1_000_000) + b">"
    assert hook(payload).returncode == 0
    (name,) = spool.names(10)
    delivery = spool.read(name)
    assert (delivery.size, delivery.cut) == (len(payload), entry.HEAD)
    assert delivery.body == payload[: entry.HEAD] + payload[-entry.TAIL :]


def test_it_runs_where_nothing_can_be_written(hook: Hook, spool: Spool, tmp_path: Path) -> None:
    """A folder that is gone is no working folder, and no HOME is needed."""
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = f'cd "{gone}" && rmdir "{gone}" && exec "$@"'
    command = [sys.executable, "-I", "-S", str(entry.__file__), "--spool", str(spool.folder)]
    done = subprocess.run(
        ["/bin/sh", "-c", shell, "sh", *command],
        input=PAYLOAD,
        capture_output=True,
        env={},
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert len(spool.names(10)) == 1


def test_a_spool_that_cannot_be_written_disturbs_nobody(hook: Hook, spool: Spool) -> None:
    """A file where the spool should be: still exit code 0 and not a word."""
    spool.folder.parent.mkdir(parents=True)
    spool.folder.write_text("in the way")
    done = hook()
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_without_a_home_and_without_a_spool_it_ends_quietly() -> None:
    """There is nowhere to put it: nothing is said all the same."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(entry.__file__)],
        input=PAYLOAD,
        capture_output=True,
        env={"HOME": "relative"},
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_an_input_that_never_ends_is_left(spool: Spool) -> None:
    """After a second the hook is gone, whatever the client does."""
    command = [sys.executable, "-I", "-S", str(entry.__file__), "--spool", str(spool.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={}) as process:
        began = time.monotonic()
        assert process.wait(10) == 0
        assert entry.LIMIT * 0.9 <= time.monotonic() - began < entry.LIMIT + 4
    assert spool.names(10) == []


def test_a_hundred_at_once_lose_nothing(spool: Spool) -> None:
    """Parallel hooks, which clients start by the dozen, each leave their own file, and no half ones."""
    command = [sys.executable, "-I", "-S", str(entry.__file__), "--spool", str(spool.folder)]
    processes = [
        subprocess.Popen([*command, f"E{number}"], stdin=subprocess.DEVNULL, env={}) for number in range(100)
    ]
    assert [process.wait(60) for process in processes] == [0] * 100
    kept = {spool.read(name).event for name in spool.names(1000)}
    assert len(kept) == len(spool.names(1000))
    # A busy machine may take some of them their second.
    assert len(kept) > 50
    assert not list((spool.folder / "tmp").iterdir()) or len(kept) < 100


def test_a_full_spool_keeps_headers_then_nothing(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its bounds the spool drops bodies first, then whole deliveries, which it counts."""
    monkeypatch.setattr(entry, "MOST_FILES", 3)
    monkeypatch.setattr(entry, "SAMPLE", 1)
    for number in range(8):
        _deliver(spool, b"body %d" % number)
    bodies = [spool.read(name).body for name in spool.names(100)]
    assert bodies == [b"body 0", b"body 1", b"body 2", b"", b"", b""]
    assert spool.dropped() == 2
    for name in spool.names(100):
        spool.done(name)
    spool.relieve()
    _deliver(spool, b"again")
    assert [spool.read(name).body for name in spool.names(100)] == [b"again"]


def test_a_mark_is_heeded_without_counting(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most hooks only look whether somebody has found the spool full."""
    monkeypatch.setattr(entry, "SAMPLE", 10**9)
    monkeypatch.setattr(os, "urandom", lambda count: b"\1" * count)
    spool.prepare()
    (spool.folder / "full").write_text("headers")
    _deliver(spool, b"body")
    (name,) = spool.names(10)
    assert (spool.read(name).body, spool.read(name).size, spool.read(name).cut) == (b"", 4, 0)


def _deliver(spool: Spool, payload: bytes) -> None:
    """Run the hook's work in a child of ours, which keeps what the test has changed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(reading, 0)
        os.close(writing)
        entry.main(["--spool", str(spool.folder), "E"])
        os._exit(1)
    os.close(reading)
    os.write(writing, payload)
    os.close(writing)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_kill_leaves_no_delivery_that_can_be_read(spool: Spool) -> None:
    """Half of a delivery never stands where deliveries are read."""
    command = [sys.executable, "-I", "-S", str(entry.__file__), "--spool", str(spool.folder)]
    for number in range(20):
        with subprocess.Popen(command, stdin=subprocess.PIPE, env={}) as process:
            assert process.stdin is not None
            with pytest.MonkeyPatch.context():
                try:
                    process.stdin.write(b"x" * 3_000_000)
                    process.stdin.close()
                except BrokenPipeError:
                    pass
            time.sleep(number / 1000)
            process.send_signal(signal.SIGKILL)
    for name in spool.names(100):
        assert len(spool.read(name).body) == 3_000_000


def test_it_imports_next_to_nothing() -> None:
    """What the client waits for needs no regular expression and no enumeration, let alone a database."""
    command = [
        sys.executable,
        "-I",
        "-S",
        "-X",
        "importtime",
        str(entry.__file__),
        "--spool",
        "/dev/null/none",
    ]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=20, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert "os" in loaded
    slow = {
        "json",
        "re",
        "enum",
        "typing",
        "pathlib",
        "socket",
        "signal",
        "threading",
        "tempfile",
        "contextlib",
    }
    assert loaded & (slow | {"asyncio", "sqlalchemy", "pydantic", "mcp", "sessionlib"}) == set()


def test_the_command_is_installed(spool: Spool) -> None:
    """`session-hook` is the same program, under a name that people can type."""
    command = [str(Path(sys.executable).with_name("session-hook")), "--spool", str(spool.folder), "Stop"]
    done = subprocess.run(command, input=PAYLOAD, capture_output=True, env={}, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert [spool.read(name).body for name in spool.names(10)] == [PAYLOAD]
