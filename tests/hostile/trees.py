"""Structural mutations: changes to the parsed document that leave it JSON, or nearly so."""

import copy
import json
import math
from collections.abc import Callable
from random import Random
from typing import Any

from tests.hostile import texts, times
from tests.hostile.fields import FIELDS, KINDS

Tree = Any
Holder = dict[str, Any] | list[Any]

_KEYS = sorted({part for field in FIELDS for part in field.split(".") if part != "0"})
_NUMBERS = (0, -1, 1, 2**31 - 1, 2**31, -(2**31), 2**63, 2**64, 10**40, 1e308, -0.0, 1.5, math.nan, math.inf)
_DEEPEST = 130
_LONGEST = 60_000
"""Characters of what is added at once."""

_MOST_COPIES = 3_000


def mutated(rng: Random, tree: Tree) -> bytes:
    """Return a document's text after one to four random changes."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.randint(1, 4)):
        holders = _holders(tree)
        if not holders:
            break
        rng.choice(_CHANGES)(rng, rng.choice(holders), tree)
    text = json.dumps(
        tree, ensure_ascii=rng.random() < 0.5, separators=rng.choice(((",", ":"), (",\n", ": ")))
    )
    return text.encode("utf-8", rng.choice(("surrogatepass", "replace")))


def _holders(tree: Tree) -> list[Holder]:
    """Return all objects and lists of a tree that hold something."""
    found: list[Holder] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list) and node:
            found.append(node)
            waiting += node.values() if isinstance(node, dict) else node
    return found


def _place(rng: Random, holder: Holder) -> Any:
    return rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))


def _value(rng: Random) -> Any:
    """Return a value nobody expects."""
    return rng.choice(_VALUES)(rng)


def _text(rng: Random) -> str:
    return rng.choice([*texts.TEXTS.values(), *times.WRONG, *times.RIGHT, "\ud800", "\0", ""])


_VALUES: tuple[Callable[[Random], Any], ...] = (
    lambda rng: copy.deepcopy(rng.choice(list(KINDS.values()))),
    lambda rng: rng.choice(_NUMBERS),
    _text,
    lambda rng: _text(rng) + "x" * rng.randint(100, _LONGEST),
    lambda rng: [rng.choice(_NUMBERS) for _ in range(rng.randint(1, 50))],
    lambda rng: {rng.choice(_KEYS): _text(rng) for _ in range(rng.randint(1, 10))},
)


def _replace(rng: Random, holder: Holder, _tree: Tree) -> None:
    holder[_place(rng, holder)] = _value(rng)


def _delete(rng: Random, holder: Holder, _tree: Tree) -> None:
    del holder[_place(rng, holder)]


def _rename(rng: Random, holder: Holder, _tree: Tree) -> None:
    place = _place(rng, holder)
    if isinstance(holder, dict):
        holder[rng.choice([*_KEYS, _text(rng)])] = holder.pop(place)
    else:
        holder.insert(0, holder.pop(place))


def _add(rng: Random, holder: Holder, _tree: Tree) -> None:
    if isinstance(holder, dict):
        holder[rng.choice(_KEYS)] = _value(rng)
    else:
        holder.insert(rng.randint(0, len(holder)), _value(rng))


def _repeat(rng: Random, holder: Holder, _tree: Tree) -> None:
    place = _place(rng, holder)
    room = _LONGEST // len(json.dumps(holder[place]))
    count = min(rng.choice((1, 2, 100, _MOST_COPIES)), room)
    copies = [copy.deepcopy(holder[place]) for _ in range(count)]
    if isinstance(holder, list):
        holder.extend(copies)
    else:
        holder[place] = copies


def _nest(rng: Random, holder: Holder, _tree: Tree) -> None:
    place = _place(rng, holder)
    value = holder[place]
    key = rng.choice(_KEYS)
    for _ in range(rng.choice((1, 2, 5, 90, 99, _DEEPEST))):
        value = {key: value} if rng.random() < 0.5 else [value]
    holder[place] = value


def _move(rng: Random, holder: Holder, tree: Tree) -> None:
    """Put a copy of some part of the document in another place."""
    holder[_place(rng, holder)] = copy.deepcopy(rng.choice(_holders(tree) or [None]))


_CHANGES = (_replace, _replace, _replace, _delete, _rename, _add, _repeat, _nest, _move)
