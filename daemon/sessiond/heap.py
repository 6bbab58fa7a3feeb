"""How the C library keeps the memory that Python has freed."""

import ctypes

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
"""Numbers of parameters of glibc's mallopt(3)."""

_LARGE = 256 * 1024
_ARENAS = 2


def give_back() -> bool:
    """Let large blocks return to the system when they are freed; call it before threads start.

    A long document takes a hundred times the memory of an ordinary one on its way into the database, for a
    moment. Left to itself glibc keeps such blocks from then on, in a heap for each thread, and the process
    never shrinks again.

    Returns:
        Whether this C library can be told so; any other is left alone.
    """
    library = _glibc()
    if library is None:
        return False
    told = [
        library.mallopt(parameter, value)
        for parameter, value in ((_MMAP_THRESHOLD, _LARGE), (_ARENA_MAX, _ARENAS))
    ]
    return all(told)


def trim() -> bool:
    """Return what is free now, in small pieces too, to the system; worth it after an import.

    Returns:
        Whether this C library can be told so.
    """
    library = _glibc()
    if library is None:
        return False
    library.malloc_trim(0)
    return True


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
