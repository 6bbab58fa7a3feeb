"""Files of others' programs, put in place whole."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def put(
    path: Path, content: bytes, *, mode: int | None = None, before: Callable[[], None] | None = None
) -> None:
    """Put a file in place, so that nobody ever reads half of it; folders are made as needed.

    Args:
        path: The file; what stands there is replaced.
        content: All of it.
        mode: Its permissions; for its owner alone without.
        before: Called when all is written, and before it is put in place; what it raises keeps that from
            happening.

    Raises:
        OSError: The operating system refuses it; what stood there is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, drawn = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        if before is not None:
            before()
        Path(drawn).replace(path)
    except BaseException:
        Path(drawn).unlink(missing_ok=True)
        raise
