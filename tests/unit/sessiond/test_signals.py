"""Signals, in a process of their own."""

import signal
import subprocess
import sys

import pytest

STUBBORN = """
import time
from sessiond.signals import StopSignals
signals = StopSignals()
signals.install()
print("ready", flush=True)
signals.stop.wait()
print("asked", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_asks_and_the_second_leaves_at_once(number: signal.Signals) -> None:
    """A process that hangs in its drain is left by the second signal, with the shell's exit code for it."""
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "asked\n"
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(5) == 128 + number
