"""`session-hook`: copy what a coding client says on standard input into the spool, and be gone.

The client waits for every hook, dozens of times a minute, so this is one file on the standard library's
quickest modules: no JSON, no signals, no sockets, nothing of this package. It prints nothing, writes nowhere
but into the spool, and its exit code is always 0: whatever goes wrong here is no business of the client.

A delivery is one file, named so that names sort by time: a header of ``name: value`` lines, an empty line,
and the input's bytes as they came. It is written beside and renamed, so no reader meets half of one. What
reads it is `sessionlib.journal.spool`, which holds the same names.
"""

import _thread
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LIMIT = 1.0
"""Seconds after which the process ends, whatever it is waiting for."""

HEAD, TAIL = 4 * 1024 * 1024, 64 * 1024
"""Bytes of a long input that are kept: its beginning and its end, where clients put the small fields."""

MOST_FILES, MOST_BYTES = 50_000, 512 * 1024 * 1024
"""What may wait in the spool. Beyond either only headers are kept, beyond twice as many files nothing."""

LARGE = 256 * 1024
"""Bytes of an input that is always weighed against what waits; of smaller ones one in `SAMPLE` is."""
SAMPLE = 64

CONTEXT = (
    "CLAUDE_PROJECT_DIR",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CONFIG_DIR",
    "CLAUDE_PID",
    "SESSIOND_IDENTITY",
    "SESSIOND_SESSION",
    "SESSIOND_HOST_ID",
)
"""Variables of the environment that tell whose event it is."""

_LONGEST = 4096
_CHUNK = 1 << 20
_BESIDE = "tmp"


def main(arguments: "Sequence[str] | None" = None) -> None:
    """Store one delivery and end the process.

    Args:
        arguments: ``[--spool DIR] [--client NAME] [EVENT]``; the spool of the usual state folder without.
    """
    try:
        _thread.start_new_thread(_give_up, ())
        _store(sys.argv[1:] if arguments is None else arguments, os.environ)
    except BaseException:  # noqa: BLE001, S110 - the client is never disturbed; `doctor` tells what is wrong
        pass
    finally:
        # Without the interpreter's own clean-up, which takes longer than the rest.
        os._exit(0)


def _give_up() -> None:
    time.sleep(LIMIT)
    os._exit(0)


def _store(arguments: "Sequence[str]", environ: "Mapping[str, str]") -> None:
    options, event = _options(arguments)
    spool = options.get("--spool") or f"{_state_folder(environ)}/spool"
    os.umask(0o077)
    head, tail, size = _read(0)
    if not os.path.isdir(f"{spool}/new"):  # noqa: PTH112 - pathlib takes longer than all of this
        for folder in (_BESIDE, "new"):
            os.makedirs(f"{spool}/{folder}", exist_ok=True)  # noqa: PTH103
    room = _room(spool, size)
    if room == "none":
        _count_dropped(spool)
        return
    kept = b"" if room == "headers" else head + tail
    number = time.time_ns()
    fields = {
        "client": options.get("--client", "claude-code"),
        "event": event,
        "at": str(number),
        "pid": str(os.getppid()),
        "size": str(size),
    }
    if size > len(kept):
        fields["cut"] = str(0 if room == "headers" else len(head))
    fields |= {name: environ[name] for name in CONTEXT if environ.get(name)}
    header = "".join(f"{name}: {_one_line(value)}\n" for name, value in fields.items())
    content = header.encode("utf-8", "surrogateescape") + b"\n" + kept
    name = f"{number:020d}.{os.getpid()}.{os.urandom(4).hex()},S={len(content)}"
    beside = f"{spool}/{_BESIDE}/{name}"
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.close(file)
        os.rename(beside, f"{spool}/new/{name}")  # noqa: PTH104
    except BaseException:
        os.unlink(beside)  # noqa: PTH108 - half of a delivery is none
        raise


def _options(arguments: "Iterable[str]") -> "tuple[dict[str, str], str]":
    options: dict[str, str] = {}
    event = ""
    words = iter(arguments)
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            options[name] = value if equals else next(words, "")
        else:
            event = word
    return options, event


def _state_folder(environ: "Mapping[str, str]") -> str:
    """Return the state folder as `sessionlib.locations` finds it; not used by hooks that were installed."""
    given = environ.get("SESSIOND_STATE_DIR", "")
    if given:
        return os.path.abspath(os.path.expanduser(given))  # noqa: PTH100, PTH111
    base = environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):
        return f"{os.path.normpath(base)}/sessiond"
    home = os.path.expanduser("~")  # noqa: PTH111
    if not home.startswith("/"):
        raise RuntimeError("there is no home folder")
    below = "Library/Application Support" if sys.platform == "darwin" else ".local/state"
    return f"{home}/{below}/sessiond"


def _read(descriptor: int) -> tuple[bytes, bytes, int]:
    """Read all of the input; return what is kept of its beginning and its end, and its whole length."""
    chunks: list[bytes] = []
    size = kept = 0
    tail = b""
    while True:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except OSError:
            break  # a closed input is an empty one
        if not chunk:
            break
        size += len(chunk)
        if kept < HEAD:
            taken = chunk[: HEAD - kept]
            chunks.append(taken)
            kept += len(taken)
            chunk = chunk[len(taken) :]
        tail = (tail + chunk)[-TAIL:]
    return b"".join(chunks), tail, size


def _room(spool: str, size: int) -> str:
    """Return what may be stored: ``all``, ``headers`` or ``none``.

    Listing a full spool takes longer than a hook may, so only some look; what they find is left as a mark
    that the others see and the daemon takes away.
    """
    mark = f"{spool}/full"
    if size < LARGE and os.urandom(1)[0] % SAMPLE:
        try:
            with open(mark, "rb") as file:  # noqa: PTH123
                return file.read(16).decode() or "headers"
        except OSError:
            return "all"
    names = os.listdir(f"{spool}/new")  # noqa: PTH208
    weight = sum(int(name.rpartition(",S=")[2] or 0) for name in names if ",S=" in name)
    if len(names) < MOST_FILES and weight + size < MOST_BYTES:
        room = "all"
    else:
        room = "headers" if len(names) < 2 * MOST_FILES else "none"
    if room != "all":
        with open(mark, "wb") as file:  # noqa: PTH123
            file.write(room.encode())
    return room


def _count_dropped(spool: str) -> None:
    """Note that a delivery was lost: the file's size is their number."""
    file = os.open(f"{spool}/dropped", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.write(file, b".")
    os.close(file)


def _one_line(value: str) -> str:
    return value[:_LONGEST].replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


if __name__ == "__main__":
    main()
