"""What reading one session folder brought, and the second look at it under the lock."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from sessionlib.errors import StateInvalidError, StateUnreadableError
from sessionlib.state.content import Part
from sessionlib.state.files import look
from sessionlib.sync import snapshot
from sessionlib.sync.places import Place
from sessionlib.sync.snapshot import Snapshot

_ENOUGH = 2_500_000
"""Bytes of input for one transaction: more only take more memory."""


@dataclass(frozen=True, slots=True)
class Reading(Part):
    """A snapshot, or why there is none: no state.json, half of a write, or what the system said."""

    snapshot: Snapshot | None = None
    torn: bool = False
    unreadable: str | None = None

    @property
    def size(self) -> int:
        """How many bytes were read and are kept."""
        if self.snapshot is None or self.snapshot.state is None:
            return 0
        return sum((extra.size for extra in self.snapshot.extras), start=self.snapshot.state.size)

    @property
    def is_absent(self) -> bool:
        """Whether there is no such session."""
        return self.snapshot is None and not self.torn and self.unreadable is None

    @property
    def problem(self) -> str | None:
        """Why the session cannot be read; None when it can, or is not there, or is being written."""
        return self.unreadable if self.snapshot is None else self.snapshot.error


def read(place: Place, slug: str, *, give_up: bool) -> Reading:
    """Read a folder, following no link within its workspace; with `give_up` what looks torn is an error."""
    try:
        taken = snapshot.take(place.path / slug, beneath=place.workspace_path, give_up=give_up)
        return Reading(taken)
    except StateInvalidError:
        return Reading(torn=True)
    except StateUnreadableError as error:
        return Reading(unreadable=error.message)


ReadPortion = Callable[[Place, Sequence[str], Collection[str]], dict[str, Reading]]
"""Reads the first of these folders of a place, in order and at least one, until it is enough for one
transaction. The last argument names those that are not torn any more but broken."""


def portion(place: Place, slugs: Sequence[str], settled: Collection[str]) -> dict[str, Reading]:
    """Read folders here and now; a `ReadPortion`."""
    readings: dict[str, Reading] = {}
    size = 0
    for slug in slugs:
        reading = readings[slug] = read(place, slug, give_up=slug in settled)
        size += reading.size
        if size >= _ENOUGH:
            break
    return readings


def look_again(place: Place, slug: str, early: Reading, *, give_up: bool) -> Reading:
    """Return the early reading if the folder still looks as it was read, else read it anew."""
    if early.torn or early.unreadable is not None:
        return early
    before = early.snapshot.look if early.snapshot is not None else None
    try:
        now = look(place.path / slug, before)
    except StateUnreadableError as error:
        return Reading(unreadable=error.message)
    if now is None and before is None:
        return early
    if now is not None and now.same_inputs(before):
        return early
    return read(place, slug, give_up=give_up)
