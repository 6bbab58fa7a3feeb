"""How much memory a process holds and has held."""

from pathlib import Path


def rss(pid: int | str = "self") -> int:
    """Return the resident memory of a process, in bytes."""
    return _status(pid, "VmRSS")


def peak(pid: int | str = "self") -> int:
    """Return the greatest resident memory of a process since its start, or since `reset_peak`, in bytes."""
    return _status(pid, "VmHWM")


def reset_peak() -> None:
    """Let this process's peak begin anew, where the system can."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(pid: int | str, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))
