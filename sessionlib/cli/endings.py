"""How a command ends: its errors as one line and a hint, and the exit code that belongs to them."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

TRACEBACK_VARIABLE = "SESSIONCTL_TRACEBACK"

_INTERRUPTED = 130
_BROKEN_PIPE = 141
"""What the shell reports of a program that SIGPIPE ended, as it ends others in a pipe."""


def ended(work: "Callable[[], int]") -> int:
    """Do the work of a command; return its exit code, whatever it raises."""
    _ensure_streams()
    _take_any_character()
    return _written(_code_of(work))


def _code_of(work: "Callable[[], int]") -> int:
    try:
        return work()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        drop_output()
        return _BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - nobody above us could say it to a person
        return _failed(error)


def _failed(error: Exception) -> int:
    # Imported late: the class brings half of what `sessionctl status` is quick without.
    from sessionlib.errors import SessionlibError, advice, nowhere

    error = nowhere(error) or error
    if isinstance(error, SessionlibError):
        complain(error.message, advice(error))
        return error.exit_code
    if os.environ.get(TRACEBACK_VARIABLE):
        import traceback

        sys.stderr.write(_clean("".join(traceback.format_exception(error))))
        return 1
    first = _clean(str(error).strip() or type(error).__name__).splitlines()[0]
    complain(
        f"unexpected {type(error).__name__}: {first}",
        f"run it again with {TRACEBACK_VARIABLE}=1 to see where, and report it",
    )
    return 1


def _clean(text: str) -> str:
    """Return words that nobody of us wrote without what in them is a secret, or looks like one."""
    from sessionlib.redaction import Redactor, is_sensitive

    return Redactor(value for name, value in os.environ.items() if is_sensitive(name)).clean(text)


def _written(code: int) -> int:
    """Write what is left in the streams; what cannot be must not become the interpreter's own exit code."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
        code = _BROKEN_PIPE
    except (OSError, ValueError) as error:
        code = _failed(unprintable(error))
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        _drop(sys.stderr)
    return code


def _ensure_streams() -> None:
    """Open what is closed of the standard streams on the null device, for our children too.

    Before any file is opened: one that got a stream's number would be written into by who writes to that.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
            os.set_inheritable(number, True)  # noqa: FBT003 - the standard library's signature
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115


def _take_any_character() -> None:
    """Let a terminal of another encoding show escapes instead of breaking the command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            try:
                reconfigure(errors="backslashreplace")
            except ValueError:
                continue


def complain(message: str, hint: str | None) -> None:
    """Say on standard error what went wrong, and what to do."""
    from sessionlib.cli.text import visible

    try:
        print(f"sessionctl: {visible(message)}", file=sys.stderr)
        if hint:
            print(f"  hint: {visible(hint)}", file=sys.stderr)
    except OSError:
        return


def unprintable(error: OSError | ValueError) -> "Exception":
    """Return the error for an answer that cannot be written, having dropped what is left of it."""
    from sessionlib.errors import SessionlibError

    drop_output()
    return SessionlibError(
        f"cannot write the answer: {getattr(error, 'strerror', None) or error}",
        hint="look at where standard output leads",
    )


def drop_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush does not complain either."""
    _drop(sys.stdout)


def _drop(stream: "TextIO") -> None:
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
    except (OSError, ValueError):
        return
