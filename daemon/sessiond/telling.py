"""What a command says to a person or a program, who may have stopped listening."""

import sys
from typing import TextIO

from sessionlib.errors import SessionlibError

_BROKEN_PIPE = 141
"""What the shell reports of a program that SIGPIPE ended, as it ends others in a pipe."""


def tell(text: str, stream: TextIO | None = None) -> None:
    """Write one line at once, to standard output for None.

    Raises:
        SessionlibError: It cannot be written: the disk under it is full.
        SystemExit: Nobody reads it any more; the command ends without a word, as others in a pipe do.
    """
    try:
        out = stream or sys.stdout
        encoding = out.encoding or "utf-8"
        # What the terminal's encoding lacks is escaped: a name of a file may hold anything.
        out.write(f"{text}\n".encode(encoding, "backslashreplace").decode(encoding))
        out.flush()
    except BrokenPipeError:
        raise SystemExit(_BROKEN_PIPE) from None
    except OSError as error:
        raise SessionlibError(
            f"cannot write the answer: {error.strerror or error}",
            hint="look at where standard output leads",
        ) from error
