"""What the service manager is told: a real datagram socket in its place."""

import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiond.notify import Notifier


class Manager:
    """A service manager's end of the protocol."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(0.2)

    def heard(self) -> list[str]:
        """Everything that was told since the last look, one text a datagram."""
        texts = []
        while True:
            try:
                texts.append(self.socket.recv(65536).decode())
            except TimeoutError:
                return texts

    def fill(self) -> int:
        """Fill the queue until it takes no more; return how many fitted."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            count = 0
            while True:
                try:
                    sender.sendto(b"noise", self.address)
                except BlockingIOError:
                    return count
                count += 1


@pytest.fixture
def manager() -> Iterator[Manager]:
    """A manager that listens at a path short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        opened = Manager(f"{folder}/notify")
        yield opened
        opened.socket.close()


def test_the_life_of_a_service_is_told(manager: Manager) -> None:
    """Start, progress, reload and stop are told in the manager's words, each with what belongs to it."""
    notifier = Notifier(manager.address)
    assert notifier.active
    notifier.extend_timeout(1.5)
    notifier.ready()
    notifier.watchdog()
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    after = time.monotonic_ns() // 1000
    notifier.ready()
    notifier.stopping()
    heard = manager.heard()
    reloading, stamp = heard.pop(3).split("\nMONOTONIC_USEC=")
    assert reloading == "RELOADING=1"
    assert before <= int(stamp) <= after
    assert heard == [
        "EXTEND_TIMEOUT_USEC=1500000",
        f"READY=1\nMAINPID={os.getpid()}",
        "WATCHDOG=1",
        f"READY=1\nMAINPID={os.getpid()}",
        "STOPPING=1",
    ]


def test_an_abstract_address_is_understood() -> None:
    """An address with @ is a name that no file system holds."""
    opened = Manager(f"@sessiond-test-{os.getpid()}")
    try:
        Notifier(opened.address).stopping()
        assert opened.heard() == ["STOPPING=1"]
    finally:
        opened.socket.close()


def test_the_environment_is_read_and_cleaned(manager: Manager) -> None:
    """The interval is half of what is allowed, and children inherit nothing of it."""
    environ = {
        "NOTIFY_SOCKET": manager.address,
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/",
    }
    notifier = Notifier.from_environment(environ)
    assert notifier.watchdog_interval == 15.0
    assert environ == {"HOME": "/"}
    notifier.ready()
    assert len(manager.heard()) == 1


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
    ],
)
def test_pings_only_when_they_are_ours(
    manager: Manager, variables: dict[str, str], interval: float | None
) -> None:
    """A watchdog for another process, or one whose time is no number, is not fed."""
    environ = {"NOTIFY_SOCKET": manager.address, **variables}
    assert Notifier.from_environment(environ).watchdog_interval == interval


@pytest.mark.parametrize(
    "address", ["", "/", "@", "relative", "vsock:2:1234", "/nowhere/notify", "/" + "x" * 300]
)
def test_without_a_manager_nothing_happens(address: str) -> None:
    """No address, one we do not speak, one nobody listens at, one too long: every call is harmless."""
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}
    notifier = Notifier.from_environment(environ)
    for tell in (notifier.ready, notifier.reloading, notifier.stopping, notifier.watchdog):
        tell()
    notifier.status("working")
    notifier.extend_timeout(1)
    assert environ == {}


def test_no_manager_is_not_active() -> None:
    """Without the variable there is nobody to tell, and no ping to give."""
    notifier = Notifier.from_environment({"WATCHDOG_USEC": "1000000"})
    assert not notifier.active
    assert notifier.watchdog_interval is None


def test_status_is_one_line_sent_when_it_changed(manager: Manager) -> None:
    """Line breaks cannot smuggle in another word, and the same text is told once."""
    notifier = Notifier(manager.address)
    notifier.status("3 roots\nMAINPID=1\n")
    notifier.status("3 roots MAINPID=1")
    assert manager.heard() == ["STATUS=3 roots MAINPID=1"]


def test_status_is_told_at_most_once_a_second(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many changes the last one is told, with the next ping after the second is over."""
    notifier = Notifier(manager.address)
    for count in range(50):
        notifier.status(f"{count} sessions")
    assert manager.heard() == ["STATUS=0 sessions"]
    later = time.monotonic() + 1.0
    monkeypatch.setattr(time, "monotonic", lambda: later)
    notifier.watchdog()
    assert manager.heard() == ["WATCHDOG=1", "STATUS=49 sessions"]


def test_a_full_queue_blocks_nobody_and_loses_no_ready(manager: Manager) -> None:
    """What could not be taken is told in order once there is room; pings are dropped."""
    notifier = Notifier(manager.address)
    noise = manager.fill()
    started = time.monotonic()
    notifier.reloading()
    notifier.ready()
    notifier.watchdog()
    notifier.status("here again")
    assert time.monotonic() - started < 1
    assert manager.heard() == ["noise"] * noise
    notifier.stopping()
    told = [text.partition("\n")[0] for text in manager.heard()]
    assert told == ["RELOADING=1", "READY=1", "STOPPING=1", "STATUS=here again"]


def test_a_manager_that_comes_back_is_told_again(manager: Manager) -> None:
    """Each message looks the address up, so a manager may restart under us."""
    notifier = Notifier(manager.address)
    manager.socket.close()
    notifier.watchdog()
    Path(manager.address).unlink()
    notifier.watchdog()
    again = Manager(manager.address)
    try:
        notifier.watchdog()
        assert again.heard() == ["WATCHDOG=1"]
    finally:
        again.socket.close()


def test_threads_may_tell_at_once(manager: Manager) -> None:
    """Every message arrives whole and once, whoever sends it."""
    notifier = Notifier(manager.address)
    tellers = [threading.Thread(target=lambda: [notifier.stopping() for _ in range(4)]) for _ in range(4)]
    for teller in tellers:
        teller.start()
    for teller in tellers:
        teller.join()
    notifier.watchdog()
    heard = manager.heard()
    notifier.status("done")  # brings what the queue had no room for
    assert (heard + manager.heard()).count("STOPPING=1") == 16
