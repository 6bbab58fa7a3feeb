"""`sessionctl status`: fresh, stale, hung, not running; fast, and safe to show."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sessionlib.cli import entry, main, statusing
from sessionlib.control.status import DatabaseState, OwedFolder, Status, WorkspaceState
from tests.statuses import a_status
from tests.stubs import Stub, says, sends, stub

PROGRAM = "import sys; from sessionlib.cli.entry import main; sys.exit(main())"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of our own that every call means, and no other daemon."""
    made = Path(tempfile.mkdtemp(prefix="state"))
    monkeypatch.setenv("SESSIOND_STATE_DIR", str(made))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(made / "config"))
    for name in ("SESSIOND_RUNTIME_DIR", "SESSIOND_CONFIG", "SESSIONCTL_TRACEBACK", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    yield made
    shutil.rmtree(made)


def encoded(status: Status) -> bytes:
    """Return a status as the daemon sends it."""
    return json.dumps(status.to_json()).encode()


def serve(monkeypatch: pytest.MonkeyPatch, made: Stub) -> None:
    """Let calls find a stub."""
    monkeypatch.setenv("SESSIOND_RUNTIME_DIR", str(made.path.parent))


def leave(folder: Path, **changes: Any) -> None:
    """Leave the last words of a daemon, said five minutes ago."""
    said = datetime.now(UTC) - timedelta(minutes=5)  # noqa: TID251 - as the daemon notes it
    (folder / "status.json").write_bytes(encoded(a_status(at=said.isoformat(), **changes)))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Call it; return exit code and what it said."""
    code = entry.main(["status", *words])
    return code, *capsys.readouterr()


def test_fresh_is_0(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line says it; --brief says nothing else; the daemon was asked for its status once a call."""
    with stub(says(encoded(a_status()))) as made:
        serve(monkeypatch, made)
        code, out, err = run(capsys)
        assert (code, err) == (0, "")
        assert out.splitlines()[0] == "fresh: everything on disk 0.1 s ago is mirrored"
        assert "database   up: sqlite:////s/mirror.db" in out
        assert run(capsys, "--brief") == (0, "fresh: everything on disk 0.1 s ago is mirrored\n", "")
    assert [request.split(b"\r\n")[0] for request in made.requests] == [b"GET /status HTTP/1.1"] * 2


def test_json_is_the_daemon_s_own_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one object of every verb; its row is the status, and says that the daemon runs."""
    with stub(says(encoded(a_status()))) as made:
        serve(monkeypatch, made)
        code, out, _ = run(capsys, "--json")
    answer = json.loads(out)
    assert (code, list(answer)) == (0, ["as_of", "stale", "rows"])
    (row,) = answer["rows"]
    assert row.pop("running") is True
    assert Status.from_json(row) == a_status()
    assert (answer["as_of"], answer["stale"]) == (a_status().as_of, False)


def test_stale_is_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reasons in the first line."""
    with stub(says(encoded(a_status(stale=True, reasons=("the database is down",))))) as made:
        serve(monkeypatch, made)
        code, out, _ = run(capsys, "--brief")
        assert (code, out) == (1, "STALE: the database is down\n")
        code, out, _ = run(capsys, "--json")
    assert (code, json.loads(out)["stale"]) == (1, True)


def test_a_hung_daemon_is_1_soon(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not hang with it, and shows the daemon's last words with their age."""
    monkeypatch.setattr(statusing, "PATIENCE", 0.3)
    leave(folder)
    with stub() as made:
        serve(monkeypatch, made)
        began = time.monotonic()
        code, out, err = run(capsys)
        assert time.monotonic() - began < 10
        assert (code, out.splitlines()[0]) == (
            1,
            f"STALE: sessiond does not answer within 0.3 s on {made.path}",
        )
        assert "its last words, 5 min old:" in out
        assert "hint: look into its log; `kill -USR2 4711`" in err
        code, out, _ = run(capsys, "--json")
    (row,) = json.loads(out)["rows"]
    assert (code, row["running"], row["stale"], row["pid"]) == (1, True, True, 4711)
    assert row["reasons"] == [f"sessiond does not answer within 0.3 s on {made.path}"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (sends(b""), "cannot be asked on"),
        (sends(b"SSH-2.0\r\n\r\n"), "no HTTP"),
        (says(b"hello"), "no JSON object"),
        (says(b"[]"), "no JSON object"),
        (says(b"[" * 100_000), "no JSON object"),
        (says(b'{"error": "too many clients"}', "503 Unavailable"), "too many clients"),
        (says(b"{}", "418 Teapot"), "HTTP 418"),
    ],
    ids=range(7),
)
def test_what_does_not_answer_like_sessiond_is_1(
    answer: Any, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed at once, another program, nonsense, an error: one sentence, never a traceback."""
    with stub(answer) as made:
        serve(monkeypatch, made)
        code, out, err = run(capsys)
    assert (code, out.splitlines()[0].startswith("STALE: sessiond cannot be asked")) == (1, True)
    assert said in out
    assert "hint:" in err


def test_no_daemon_ever_is_3(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says where it looked, and how to start one."""
    code, out, err = run(capsys)
    assert code == 3
    assert out == (
        f"not running; nothing listens on {folder}/run/control.sock, and there is no {folder}/status.json\n"
    )
    assert err.startswith("hint: start it: `sessiond run ROOT`")
    code, out, _ = run(capsys, "--json")
    answer = json.loads(out)
    assert (code, answer["as_of"], answer["stale"]) == (3, None, True)
    assert answer["rows"] == [{"running": False, "stale": True, "reasons": ["sessiond is not running"]}]


def test_a_stopped_daemon_is_3_with_its_last_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How long ago it stopped, and up to when everything is mirrored."""
    leave(folder, state="stopped")
    code, out, _ = run(capsys)
    assert code == 3
    assert out.splitlines()[:2] == [
        "not running; stopped 5 min ago, everything up to 2026-02-16 08:59:59 UTC is mirrored",
        "its last words, 5 min old:",
    ]
    code, out, _ = run(capsys, "--brief")
    assert (code, len(out.splitlines())) == (3, 1)
    (row,) = json.loads(run(capsys, "--json")[1])["rows"]
    assert (row["running"], row["state"], row["as_of"]) == (False, "stopped", a_status().as_of)


def test_a_daemon_that_was_killed_is_told_from_one_that_stopped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last words are those of a running one; one that is about to listen is named with its process."""
    # A program of a like name, that has the number of the daemon before.
    named_like_it = [sys.executable, "-c", "print(flush=True); input()", "sessiond"]
    with subprocess.Popen(named_like_it, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        leave(folder, pid=other.pid)
        code, out, _ = run(capsys, "--brief")
        told = ["not running", " it ended without a word, and was ready 5 min ago"]
        assert (code, out.split(";")[:2]) == (3, told)
        other.kill()
    holding = (
        "from pathlib import Path; from sessiond.lock import InstanceLock\n"
        f"with InstanceLock(Path({str(folder)!r})): print(flush=True); input()"
    )
    command = [sys.executable, "-c", holding]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        leave(folder, pid=process.pid, state="starting", as_of=None)
        code, out, _ = run(capsys, "--brief")
        assert code == 3
        assert out == (
            f"not listening; process {process.pid} is there, and was starting 5 min ago; "
            "it had not mirrored everything yet\n"
        )
        process.kill()
        # It is dead, and nobody has asked for its end yet.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert run(capsys, "--brief")[1].startswith("not running; it ended without a word")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at": 3, "pid": "x", "state": {}}', '{"pid": 1e999}'])
def test_a_corrupt_status_file_is_3(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it holds, the answer is that no daemon runs."""
    (folder / "status.json").write_text(text)
    code, out, _ = run(capsys)
    assert (code, out.startswith("not running; ")) == (3, True)


def test_names_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escapes, line breaks and turned text in paths, reasons and errors are spelled out, in JSON too."""
    evil = "\x1b[2J\nx\u202e\x9b"
    status = a_status(
        stale=True,
        reasons=(evil,),
        owed=(OwedFolder(path=evil, error=evil),),
        workspaces=(
            WorkspaceState(
                project=evil, path=evil, reconciled_at="", age_s=1, sessions=1, missing=False, complete=True
            ),
        ),
        database=DatabaseState(name=evil, backend="sqlite", up=False, error=evil),
    )
    with stub(says(encoded(status))) as made:
        serve(monkeypatch, made)
        plain, tree = run(capsys)[1], run(capsys, "--json")[1]
    for shown in (plain, tree):
        assert not set(shown) & set("\x1b\u202e\x9b")
    assert plain.splitlines()[0] == "STALE: \\x1b[2J\\nx\\u202e\\x9b"
    assert json.loads(tree)["rows"][0]["reasons"] == [evil]


def test_the_first_line_is_coloured_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it is asked not to."""
    with stub(says(encoded(a_status()))) as made:
        serve(monkeypatch, made)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        assert run(capsys, "--brief")[1].startswith("\x1b[32mfresh: ")
        assert run(capsys, "--brief", "--no-color")[1].startswith("fresh: ")
        monkeypatch.setenv("NO_COLOR", "1")
        assert run(capsys, "--brief")[1].startswith("fresh: ")


def test_wait_waits_for_a_fresh_daemon(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for one that is only about to start; and not for ever."""
    stale, fresh = encoded(a_status(stale=True, reasons=("importing",))), encoded(a_status())
    assert run(capsys, "--wait", "200ms", "--brief")[0] == 3
    with stub(says(stale)) as made:
        serve(monkeypatch, made)
        assert run(capsys, "--wait=0.3s", "--brief")[:2] == (1, "STALE: importing\n")
        timer = threading.Timer(0.3, lambda: setattr(made, "_answer", says(fresh)))
        timer.start()
        assert run(capsys, "--wait", "20", "--brief")[0] == 0
        timer.join()


def test_the_long_way_says_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser's verb is the same verb."""
    with stub(says(encoded(a_status()))) as made:
        serve(monkeypatch, made)
        short = run(capsys)
        code = main.main(["status"])
        assert (code, *capsys.readouterr()) == short
        code = main.main(["-v", "status", "--json"])
        assert json.loads(capsys.readouterr().out)["rows"][0]["running"] is True


def test_a_broken_configuration_is_78(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When only it would say where the daemon is."""
    monkeypatch.delenv("SESSIOND_STATE_DIR")
    broken = folder / "broken.toml"
    broken.write_text("[daemon]\nstate_dir = ")
    code, out, err = run(capsys, f"--config={broken}")
    assert (code, out) == (78, "")
    assert err.startswith(f"sessionctl: cannot read the configuration {broken}: ")


def test_usage_errors_are_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped option is refused with the nearest one."""
    code, out, err = run(capsys, "--breif")
    assert (code, out) == (2, "")
    assert err == (
        "sessionctl: unrecognized arguments: --breif\n  hint: did you mean: `sessionctl status --brief`?\n"
    )
    assert run(capsys, "--wait", "soon")[0] == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_cannot_be_written_is_one_sentence(folder: Path) -> None:
    """A full disk is 1, a reader that has left is 141, both without a traceback."""
    leave(folder, state="stopped")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "status"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"sessionctl: cannot write the answer: No space left on device")
    assert b"Traceback" not in done.stderr
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "status"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("has_daemon", [True, False], ids=["daemon", "no daemon"])
def test_the_short_way_needs_the_standard_library_alone(
    has_daemon: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of ours that is heavy, nothing of others, not even the slow parts of the standard library."""
    listed = "import sys; from sessionlib.cli.entry import main; main(); print(*sys.modules, file=sys.stderr)"
    leave(folder, state="stopped")
    with stub(says(encoded(a_status()))) as made:
        if has_daemon:
            serve(monkeypatch, made)
        done = subprocess.run(
            [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path[1:]!r}; {listed}", "status"],
            capture_output=True,
            text=True,
            check=True,
        )
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "sessionlib.cli.status_sheet" in loaded
    foreign = (
        {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names - {"__main__", "sessionlib"}
    )
    assert foreign == set()
    ours = {name for name in loaded if name.startswith("sessionlib")}
    assert not any(
        name.startswith(("sessionlib.config", "sessionlib.models", "sessionlib.db")) for name in ours
    )
    slow = {"argparse", "dataclasses", "inspect", "typing", "pathlib", "http", "email", "logging", "tomllib"}
    assert loaded & slow == set()


def _processor_seconds(words: list[str], environment: dict[str, str]) -> float:
    """Return what a process costs; a machine with other work makes it wait, but hardly makes it dearer."""
    process = subprocess.Popen([sys.executable, *words], env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


def test_the_answer_comes_in_a_moment(folder: Path) -> None:
    """Beside the interpreter's start it takes well under 50 ms on a quiet machine; twice that is allowed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    # Compiled once, as an installed package is.
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    calls = {"nothing": ["-c", "pass"], "status": ["-c", PROGRAM, "status"]}
    took: dict[str, list[float]] = {name: [] for name in calls}
    with stub(says(encoded(a_status()))) as made:
        environment["SESSIOND_RUNTIME_DIR"] = str(made.path.parent)
        for turn in range(9):
            for name, words in calls.items():
                seconds = _processor_seconds(words, environment)
                if turn:
                    took[name].append(seconds)
    assert min(took["status"]) - min(took["nothing"]) < 0.100, took
