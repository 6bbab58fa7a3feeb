"""What stands for an input's bytes: their hash, and their content as the database keeps it."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import orjson


def content_hash(data: bytes) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    return sha256(data).hexdigest()


def inputs_hash(state_hash: str, extras: Sequence[tuple[str, str | None, str | None]]) -> str:
    """Return one hash over all inputs of a session; extras are (name, content hash, problem), by name."""
    if not extras:
        return state_hash
    text = "\0".join(f"{name}\0{found or ''}\0{problem or ''}" for name, found, problem in extras)
    return sha256(f"{state_hash}\0{text}".encode("utf-8", "backslashreplace")).hexdigest()


def dump_json(value: Any) -> str:
    """Return compact JSON text; integers over 64 bit take the standard library's way."""
    try:
        return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
