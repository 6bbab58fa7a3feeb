"""What tests of the watcher share: a listener that remembers hints, and sessions on disk."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sessiond.hints import Hint, ProjectsTouched, RootTouched, SessionTouched
from sessiond.watch.watcher import Watcher
from sessionlib.state.scan import FinderOptions

OPTIONS = FinderOptions()


class Listener:
    """Remembers every hint, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hints: list[Hint] = []

    def __call__(self, hint: Hint) -> None:
        with self._lock:
            self._hints.append(hint)

    @property
    def hints(self) -> list[Hint]:
        with self._lock:
            return list(self._hints)

    def clear(self) -> None:
        with self._lock:
            self._hints.clear()

    def sessions(self) -> list[Path]:
        """Return the session folders that rang, each ring."""
        return [hint.session_dir for hint in self.hints if isinstance(hint, SessionTouched)]

    def roots(self, reason: str | None = None) -> list[Path]:
        """Return the sessions roots that rang, for one reason or any."""
        return [
            hint.sessions_root
            for hint in self.hints
            if isinstance(hint, RootTouched) and reason in {None, hint.reason}
        ]

    def projects(self, reason: str | None = None) -> list[Path]:
        """Return the watch roots whose projects rang, for one reason or any."""
        return [
            hint.watch_root
            for hint in self.hints
            if isinstance(hint, ProjectsTouched) and reason in {None, hint.reason}
        ]


def make_watcher(listener: Listener, **options: object) -> Watcher:
    """Return a watcher that looks often enough for tests; not started."""
    settings: dict[str, object] = {"options": OPTIONS, "poll_interval": 0.05, **options}
    return Watcher(listener, **settings)


@contextmanager
def running_watcher(listener: Listener, *tops: Path, **options: object) -> Iterator[Watcher]:
    """Run a watcher on these watch roots until the block ends."""
    watcher = make_watcher(listener, **options)
    watcher.start()
    for top in tops:
        watcher.add_root(top)
    yield watcher
    watcher.stop()


def sessions_root(project: Path) -> Path:
    """Make the sessions root of a project and return it."""
    root = project / "agents" / "sessions"
    root.mkdir(parents=True)
    return root


def make_session(root: Path, slug: str = "one", text: str = "{}") -> Path:
    """Make a session folder with a state.json and return it."""
    folder = root / slug
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(text)
    return folder


def save(folder: Path, text: str, name: str = "state.json") -> None:
    """Replace a file as careful writers do: a temporary file, then a rename."""
    temporary = folder / f".{name}.tmp"
    temporary.write_text(text)
    temporary.replace(folder / name)


def inotify_watches() -> int:
    """Return how many watches this process has, as the kernel counts them."""
    count = 0
    for descriptor in Path("/proc/self/fdinfo").iterdir():
        try:
            text = descriptor.read_text()
        except OSError:
            continue
        count += sum(line.startswith("inotify") for line in text.splitlines())
    return count


def open_descriptors() -> set[str]:
    """Return what each open descriptor of this process leads to, of those that matter here."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if "inotify" in target or "eventfd" in target:
            found.add(f"{descriptor.name}:{target}")
    return found
