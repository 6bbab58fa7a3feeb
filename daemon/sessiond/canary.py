"""The canary: a file in our own state folder by which the watcher proves that it hears.

It is watched by the same reader, on the same inotify instance, as the projects are; what the watcher says of
it goes no further than here, so that no session comes of it. The finder passes over a folder of its name.
"""

import shutil
import threading
import time
from pathlib import Path
from typing import NamedTuple

from sessiond.hints import Hint, ProjectsTouched, RootTouched, SessionTouched
from sessiond.watch.watcher import Watcher

_NAME = ".canary"
_SESSION = Path("agents", "sessions", "canary")
_PATIENCE = 5.0
"""Seconds that an event may take: more than any that comes at all."""
_LOOKS = 3
"""So many looks may pass where nothing but looking tells."""
_MOST = 20.0
"""Seconds that whoever asks is kept waiting, however seldom the looks are."""


class Song(NamedTuple):
    """What became of a canary.

    Attributes:
        arrived: The watcher has told of it.
        after_s: Seconds until it did, or for which it was waited for.
        mode: How it was watched: events, polling or mixed.
        reason: Why not by events, or why it could not be written; None without.
    """

    arrived: bool
    after_s: float
    mode: str
    reason: str | None


class Canary:
    """Sings on demand; safe to use from any thread.

    Args:
        watcher: Who must hear it.
        state_dir: The daemon's state folder, in which it gets a folder of its own while it sings.
    """

    def __init__(self, watcher: Watcher, state_dir: Path) -> None:
        self._watcher = watcher
        self._folder = state_dir / _NAME
        self._busy = threading.Lock()
        self._heard = threading.Event()

    def hears(self, hint: Hint) -> bool:
        """Tell whether a hint is about the canary, and no more to be passed on."""
        if not _place_of(hint).is_relative_to(self._folder):
            return False
        self._heard.set()
        return True

    def sing(self) -> Song | None:
        """Write the file and wait until the watcher tells of it; None while another thread does so."""
        if not self._busy.acquire(blocking=False):
            return None
        try:
            return self._sung()
        except OSError as error:
            return Song(arrived=False, after_s=0.0, mode="", reason=f"{self._folder}: {error.strerror}")
        finally:
            self._watcher.remove(self._folder)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._busy.release()

    def _sung(self) -> Song:
        session = self._folder / _SESSION
        if self._folder.exists():
            shutil.rmtree(self._folder)  # of a daemon that ended in the middle
        self._folder.mkdir(mode=0o700)
        session.mkdir(parents=True)
        watched = self._watcher.add_aside(self._folder)
        self._heard.clear()
        began = time.monotonic()
        # As every state file is written: beside its place, and renamed into it.
        drawn = session / ".state.json.new"
        drawn.write_text("{}\n")
        drawn.rename(session / "state.json")
        patience = min(max(_PATIENCE, _LOOKS * self._watcher.poll_interval), _MOST)
        arrived = self._heard.wait(patience)
        after = round(time.monotonic() - began, 6)
        return Song(arrived=arrived, after_s=after, mode=watched.mode, reason=watched.reason)


def _place_of(hint: Hint) -> Path:
    """Return where a hint says to look."""
    match hint:
        case SessionTouched(session_dir=place) | RootTouched(sessions_root=place):
            return place
        case ProjectsTouched(watch_root=place):
            return place
