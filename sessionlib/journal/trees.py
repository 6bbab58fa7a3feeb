"""Fields of JSON that somebody else has made: of the right shape, or as good as not there."""

import json
from typing import Any

import orjson

_GREATEST = 2**53
"""Beyond it JSON's numbers are not exact."""


def text_of(tree: Any, name: str) -> str | None:
    """Return a text that is not empty; None for anything else, and where there is no object at all."""
    # What JSON is read to is of just these types; to ask for subclasses, too, takes half as long again.
    if type(tree) is dict:
        value = tree.get(name)
        if type(value) is str and value:
            return value
    return None


def count_of(tree: Any, name: str) -> int | None:
    """Return a number of things, a whole one; None for anything else."""
    if type(tree) is dict:
        value = tree.get(name)
        if type(value) is int or type(value) is float:
            return int(value) if 0 <= value < _GREATEST else None
    return None


def loads(data: bytes) -> Any:
    """Return what JSON says, also where a program has cut a character in two and written half of it.

    Raises:
        ValueError: It is not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        if rb"\ud" not in data.lower():
            raise
    try:
        tree = json.loads(data)
    except RecursionError as error:
        message = "nested too deeply"
        raise ValueError(message) from error
    return orjson.loads(json.dumps(tree, ensure_ascii=False).encode("utf-8", "replace"))
