"""Signals, in processes of their own."""

import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessiond.signals import Signals

HEAD = """
import logging, os, sys, time
from pathlib import Path
from threading import Event
from sessiond.signals import Signals
signals = Signals()
signals.install()
def say(*words):
    # At once: two threads may speak at the same time.
    os.write(1, (" ".join(map(str, words)) + os.linesep).encode())
"""

LISTEN = """
signals.listen(
    on_reload=lambda: say("reload"), on_rescan=lambda: say("rescan"), on_dump=lambda file: say("dump", file)
)
"""

STUBBORN = """
say("ready")
signals.stop.wait()
say("asked")
time.sleep(60)
"""

OBEDIENT = """
say("ready")
signals.stop.wait()
say("stopped by", signals.received.name)
"""


class Talking:
    """A running script; what it says is read line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        """The next line of standard output, without its end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def errors(self) -> str:
        """All of standard error, once the process has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def running(script: str, *arguments: str) -> Iterator[Talking]:
    """Run a script that installs the signals first; it is killed at the end if need be."""
    command = [sys.executable, "-c", HEAD + script, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield Talking(process)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_asks_and_the_second_leaves_at_once(number: signal.Signals) -> None:
    """A process that hangs in its drain is left by the second signal, with the shell's exit code for it."""
    with running(STUBBORN) as talking:
        assert talking.line() == "ready"
        talking.process.send_signal(number)
        assert talking.line() == "asked"
        assert talking.process.poll() is None
        talking.process.send_signal(number)
        assert talking.process.wait(5) == 128 + number


def test_a_stop_is_told_by_name() -> None:
    """The main thread wakes up and knows which signal it was."""
    with running(OBEDIENT) as talking:
        assert talking.line() == "ready"
        talking.process.terminate()
        assert talking.line() == "stopped by SIGTERM"
        assert talking.process.wait(5) == 0


def test_term_is_heard_while_the_main_thread_sits_in_c() -> None:
    """Another thread sees `stop` though the main thread runs no bytecode, and a second TERM still leaves."""
    script = """
import ctypes, threading
def other():
    signals.stop.wait()
    say("heard")
threading.Thread(target=other, daemon=True).start()
say("ready")
python = ctypes.CDLL(None)      # lets the other threads run meanwhile, and goes on after every signal
python.PyThread_allocate_lock.restype = ctypes.c_void_p
lock = ctypes.c_void_p(python.PyThread_allocate_lock())
python.PyThread_acquire_lock(lock, 1)
python.PyThread_acquire_lock(lock, 1)
"""
    with running(script) as talking:
        assert talking.line() == "ready"
        time.sleep(0.2)
        talking.process.terminate()
        assert talking.line() == "heard"
        talking.process.terminate()
        assert talking.process.wait(5) == 128 + signal.SIGTERM


def test_what_comes_before_listening_is_kept_once_each() -> None:
    """Reloads and rescans asked for during the start are done when the service is there, once."""
    script = (
        """
say("ready")
input()
"""
        + LISTEN
        + OBEDIENT
    )
    command = [sys.executable, "-c", HEAD + script]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        talking = Talking(process)
        assert talking.line() == "ready"
        for number in [signal.SIGHUP, signal.SIGUSR1] * 3:
            process.send_signal(number)
            time.sleep(0.02)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        told = [talking.line() for _ in range(3)]
        process.terminate()
        told += [talking.line() for _ in range(2)]
    assert sorted(told) == ["", "ready", "reload", "rescan", "stopped by SIGTERM"]


def test_each_signal_does_its_own() -> None:
    """HUP reloads, USR1 rescans, USR2 dumps, and PIPE does nothing."""
    with running(LISTEN + OBEDIENT) as talking:
        assert talking.line() == "ready"
        for number, said in [
            (signal.SIGPIPE, None),
            (signal.SIGHUP, "reload"),
            (signal.SIGUSR1, "rescan"),
            (signal.SIGUSR2, "dump standard error"),
            (signal.SIGHUP, "reload"),
            (signal.SIGTERM, "stopped by SIGTERM"),
        ]:
            talking.process.send_signal(number)
            assert said is None or talking.line() == said
        assert talking.process.wait(5) == 0
        assert "the latest call last" in talking.errors()


def test_a_listener_that_fails_does_not_end_the_thread() -> None:
    """The failure is logged with its traceback, and the next signals are heard."""
    script = """
logging.basicConfig()
signals.listen(on_reload=lambda: 1 / 0, on_rescan=lambda: say("rescan"), on_dump=print)
"""
    with running(script + OBEDIENT) as talking:
        assert talking.line() == "ready"
        for number in (signal.SIGHUP, signal.SIGUSR1):
            talking.process.send_signal(number)
        assert talking.line() == "rescan"
        talking.process.terminate()
        assert talking.process.wait(5) == 0
        assert "ZeroDivisionError" in talking.errors()


def test_after_a_stop_nothing_is_begun() -> None:
    """While it drains, a reload and a rescan are ignored; stacks can still be had."""
    script = (
        LISTEN
        + """
say("ready")
signals.stop.wait()
say("draining")
time.sleep(60)
"""
    )
    with running(script) as talking:
        assert talking.line() == "ready"
        talking.process.terminate()
        assert talking.line() == "draining"
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            talking.process.send_signal(number)
        assert talking.line() == "dump standard error"


def test_stacks_go_to_the_file_named(tmp_path: Path) -> None:
    """The file is 0600, names every thread's place, and each dump is dated."""
    file = tmp_path / "stacks.log"
    script = "signals.dump_to(Path(sys.argv[1]))" + LISTEN + OBEDIENT
    with running(script, str(file)) as talking:
        assert talking.line() == "ready"
        for _ in range(2):
            talking.process.send_signal(signal.SIGUSR2)
            assert talking.line() == f"dump {file}"
        talking.process.terminate()
        assert talking.process.wait(5) == 0
        assert talking.errors() == ""
    text = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert text.count("thread MainThread:") == text.count("in <module>") == 2
    assert (
        len(re.findall(rf"^stacks of process {talking.process.pid}, \d{{4}}-.*Z, ", text, re.MULTILINE)) == 2
    )


YIELDING = """
import threading
def numbers():
    while True:
        os.stat("/")
        yield 1
def walk():
    for _ in numbers():
        os.stat("/")
for _ in range(8):
    threading.Thread(target=walk, name="walker", daemon=True).start()
signals.dump_to(Path(sys.argv[1]))
say("ready")
signals.stop.wait()
"""


def test_a_stack_is_whole_while_its_thread_runs_on(tmp_path: Path) -> None:
    """Also that of a thread that was in a generator, and has left it by the time the stack is written."""
    with running(LISTEN + YIELDING, str(tmp_path / "stacks")) as talking:
        assert talking.line() == "ready"
        for _ in range(100):
            talking.process.send_signal(signal.SIGUSR2)
            assert talking.line().startswith("dump")
    stacks = (tmp_path / "stacks").read_text().split("thread walker:\n")[1:]
    assert len(stacks) == 800
    # Where the system stops the process in the midst of it, another thread may have run after all.
    assert sum(", in walk\n" not in stack for stack in stacks) <= 1


def test_a_stacks_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    """What earlier lives left is dropped at the start once it is more than a MiB."""
    file = tmp_path / "stacks.log"
    file.write_bytes(b"x" * (1 << 20) + b"y")
    with running("signals.dump_to(Path(sys.argv[1]))" + OBEDIENT, str(file)) as talking:
        assert talking.line() == "ready"
        assert file.stat().st_size == 0


def test_stacks_that_cannot_be_kept_go_to_standard_error(tmp_path: Path) -> None:
    """A link in the file's place is not followed, and the daemon starts all the same."""
    (tmp_path / "stacks.log").symlink_to(tmp_path / "victim")
    with running(
        "signals.dump_to(Path(sys.argv[1]))" + LISTEN + OBEDIENT, f"{tmp_path}/stacks.log"
    ) as talking:
        assert talking.line() == "ready"
        talking.process.send_signal(signal.SIGUSR2)
        assert talking.line() == "dump standard error"
    assert not (tmp_path / "victim").exists()


def test_a_hang_after_the_stop_ends_at_the_last_deadline() -> None:
    """A main thread that never comes back is left with the code that was named, and its stacks are told."""
    script = "signals.give_up_after(0.5, code=7)\n" + STUBBORN
    with running(script) as talking:
        assert talking.line() == "ready"
        started = time.monotonic()
        talking.process.terminate()
        assert talking.process.wait(10) == 7
        assert 0.5 <= time.monotonic() - started < 5
        told = talking.errors()
    assert "still running 0.5 s after it was asked to stop" in told
    assert "thread MainThread:" in told


STORM = """
logging.basicConfig(stream=open(sys.argv[1], "w"), level=logging.INFO)
log = logging.getLogger("storm")
reloads = rescans = 0
def reload():
    global reloads
    reloads += 1
    log.info("reload %d", reloads)
def rescan():
    global rescans
    rescans += 1
    log.info("rescan %d", rescans)
signals.dump_to(Path(sys.argv[2]))
signals.listen(on_reload=reload, on_rescan=rescan, on_dump=lambda file: log.info("dumped to %s", file))
say("ready")
waiting = Event()
rounds = 0
while not signals.stop.wait(0.0005):
    rounds += 1
    log.info("round %d %s", rounds, waiting.wait(0.0005))
say(rounds, reloads, rescans)
os._exit(0)     # as the daemon leaves: the interpreter's own end gives HUP its deadly default back
"""


def test_a_storm_of_signals_loses_no_term_and_locks_nothing(tmp_path: Path) -> None:
    """Thousands of signals while the main thread logs and waits: it goes on, and hears the TERM."""
    log, stacks = tmp_path / "log", tmp_path / "stacks"
    with running(STORM, str(log), str(stacks)) as talking:
        assert talking.line() == "ready"
        for position in range(20_000):
            number = signal.SIGUSR2 if position % 100 == 0 else (signal.SIGHUP, signal.SIGUSR1)[position % 2]
            talking.process.send_signal(number)
        talking.process.terminate()
        rounds, reloads, rescans = map(int, talking.line().split())
        assert talking.process.wait(10) == 0
        assert talking.errors() == ""
    assert min(rounds, reloads, rescans) > 0
    lines = log.read_text().splitlines()
    assert len([line for line in lines if "round" in line]) == rounds
    assert not [line for line in lines if "Error" in line]
    assert "thread MainThread:" in stacks.read_text()


def pelt(process: subprocess.Popen[str], number: signal.Signals, over: threading.Event) -> None:
    """Send a signal again and again."""
    while not over.is_set():
        process.send_signal(number)


def test_terms_in_the_midst_of_a_storm_are_heard(tmp_path: Path) -> None:
    """Whenever the TERM comes among signals of several senders, the process ends by it."""
    for delay in (0.0, 0.01, 0.05, 0.1):
        with running(STORM, str(tmp_path / "log"), str(tmp_path / "stacks")) as talking:
            assert talking.line() == "ready"
            over = threading.Event()
            senders = [
                threading.Thread(target=pelt, args=(talking.process, number, over))
                for number in (signal.SIGHUP, signal.SIGUSR1)
            ]
            for sender in senders:
                sender.start()
            time.sleep(delay)
            talking.process.terminate()
            try:
                assert talking.process.wait(10) == 0
            finally:
                over.set()
                for sender in senders:
                    sender.join()


def test_everything_is_given_back() -> None:
    """After `uninstall` the handlers, the wakeup pipe and the descriptors are as before."""
    handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE)
    before = [signal.getsignal(number) for number in handled]
    opened = len(list(Path("/dev/fd").iterdir()))
    signals = Signals()
    signals.install()
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.stop.wait(5)
    signals.uninstall()
    assert [signal.getsignal(number) for number in handled] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert len(list(Path("/dev/fd").iterdir())) == opened
    signals.uninstall()
