"""Which files anybody opens in some folders, as the kernel tells it: no way of opening one hides from it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sessiond.watch import inotify

_IN_OPEN = 0x20


class Opens:
    """Counts the openings of files in folders, by any process; belongs to one thread."""

    def __init__(self, folders: Iterable[Path], instance: inotify.Inotify) -> None:
        self._inotify = instance
        self._folders = {instance.watch(str(folder), _IN_OPEN): str(folder) for folder in folders}

    def taken(self) -> list[str]:
        """Return the files that were opened since the last call; a folder that was listed is none.

        Raises:
            RuntimeError: There were more than the kernel keeps.
        """
        self._inotify.wake()
        opened = []
        for wd, mask, name in inotify.events_in(self._inotify.read()):
            if mask & inotify.IN_Q_OVERFLOW:
                raise RuntimeError("more files were opened than could be counted")
            if mask & _IN_OPEN and not mask & inotify.IN_ISDIR:
                opened.append(f"{self._folders[wd]}/{os.fsdecode(name.rstrip(bytes(1)))}")
        return opened


@contextmanager
def watched(folders: Iterable[Path]) -> Iterator[Opens]:
    """Count the openings in these folders, not below them, until the block ends.

    Raises:
        OSError: The kernel's limits of instances or watches are reached, or a folder is not there.
    """
    instance = inotify.Inotify()
    try:
        yield Opens(folders, instance)
    finally:
        instance.close()


def below(top: Path) -> list[Path]:
    """Return a folder and all folders below it."""
    return [Path(path) for path, _, _ in os.walk(top)]
