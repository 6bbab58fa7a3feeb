"""What a reconcile believes to be stored of some sessions roots: looks to compare, read all at once.

A picture may be some time old when a root's turn comes. So it is good for finding out that nothing differs,
and for naming what must be looked at again; it is never the ground for taking something for gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from sessionlib.db import pictures
from sessionlib.db.crud import findings
from sessionlib.db.pictures import CopyState, RootKey, RootState
from sessionlib.state.looks import Look, Signature
from sessionlib.sync.looks import load_extras
from sessionlib.sync.mapping import MAPPING_VERSION
from sessionlib.sync.places import Place, real_name, stored_name

MASS_FINDING = "mass_vanish"
"""The finding that tells an operator that a mass disappearance is held back."""


@dataclass(slots=True)
class StoredRoot:
    """What is stored of one sessions root.

    Attributes:
        state: How it was when it was last seen; None when it is not registered.
        looks: What each copy was written from, by the folder's name, unless the copy is to be written again
            whatever its file looks like.
        odd: Those copies, by the folder's name: they are absent, or were mapped by another version.
        is_held: Whether an operator was told that a disappearance from it is held back.
    """

    state: RootState | None = None
    looks: dict[str, Look] = field(default_factory=dict)
    odd: dict[str, CopyState] = field(default_factory=dict)
    is_held: bool = False

    @property
    def count(self) -> int:
        """The number of copies that are not known to be gone."""
        return len(self.looks) + len(self.odd)


class Picture:
    """What is stored of some places, each of which is taken out once."""

    def __init__(self, roots: dict[RootKey, StoredRoot]) -> None:
        self._roots = roots

    def take(self, place: Place) -> StoredRoot | None:
        """Return what is stored of a place and forget it; None for one that the picture does not show."""
        return self._roots.pop(key_of(place), None)


def draw(connection: Connection, places: Sequence[Place]) -> Picture:
    """Read what is stored of some places, in three statements.

    Raises:
        DatabaseError: The database does not answer.
    """
    keys = list(dict.fromkeys(map(key_of, places)))
    states = pictures.root_states(connection, keys)
    held = findings.subjects_of(connection, MASS_FINDING)
    stored = [StoredRoot(states.get(key)) for key in keys]
    _fill(stored, pictures.copy_states(connection, keys))
    roots = dict(zip(keys, stored, strict=True))
    for place in places if held else ():
        roots[key_of(place)].is_held = (place.workspace_id, stored_name(str(place.path))) in held
    return Picture(roots)


def _fill(stored: Sequence[StoredRoot], rows: Sequence[tuple[Any, ...]]) -> None:
    new = tuple.__new__  # what the named tuples' own constructors do, at a fifth of their price
    looks = [root.looks for root in stored]
    for row in rows:
        turn, slug, dev, inode, size, mtime_ns, ctime_ns, folder_mtime_ns, extras, version, absent, _ = row
        name = real_name(slug)
        if version != MAPPING_VERSION or absent:
            stored[turn].odd[name] = CopyState(*row)
            continue
        state = new(Signature, (dev, inode, size, mtime_ns, ctime_ns))
        looks[turn][name] = new(Look, (state, folder_mtime_ns, load_extras(extras) if extras else ()))


def key_of(place: Place) -> RootKey:
    """Return the key under which a place is stored."""
    return RootKey(place.project_id, place.workspace_id, place.root)
