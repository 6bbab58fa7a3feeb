"""What a process has used so far, as the kernel counts it (Linux)."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """The use of one process at one moment.

    Attributes:
        cpu: Seconds of processor time, of all its threads, those that have ended too; to about 10 ms.
        resident: Megabytes of memory it holds now.
        peak: The most it ever held.
        wakeups: How often its threads that live have gone to sleep.
        written: Bytes that its writing has made dirty in the page cache.
    """

    cpu: float
    resident: float
    peak: float
    wakeups: int
    written: int


def used(pid: int) -> Usage:
    """Return what a process has used.

    Raises:
        OSError: There is none.
    """
    home = Path(f"/proc/{pid}")
    fields = (home / "stat").read_text().rsplit(")", 1)[1].split()
    status = _numbers(home / "status")
    wakeups = 0
    for task in (home / "task").iterdir():
        wakeups += _numbers(task / "status").get("voluntary_ctxt_switches", 0)
    return Usage(
        cpu=(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
        resident=status["VmRSS"] * 1024 / 1e6,
        peak=status["VmHWM"] * 1024 / 1e6,
        wakeups=wakeups,
        written=_numbers(home / "io")["write_bytes"],
    )


def busy(pid: int) -> float:
    """Return the seconds of processor time of the threads that live, to the nanosecond; cheap."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def _numbers(path: Path) -> dict[str, int]:
    """Return the values of a file of ``name: number`` lines."""
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    values = {name: value.split() for name, _, value in pairs}
    return {name: int(words[0]) for name, words in values.items() if words and words[0].isdigit()}
