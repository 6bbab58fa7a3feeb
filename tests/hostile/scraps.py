"""Byte mutations: what disks, networks, encoders and careless programs do to a file."""

from collections.abc import Callable, Sequence
from random import Random

_TOKENS = (
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"18446744073709551616",
    b"<<<<<<< HEAD\n",
    b"{{TOPIC}}",
    b"\x1b[31m",
    b"\r\n",
    b"//",
    b'"topic":',
    b'"commits":[',
)
_MOST_FLIPS = 20
_LONGEST_PIECE = 200


def mutated(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return a file's bytes after one to three random changes.

    Args:
        rng: Decides.
        data: The bytes.
        others: Other files, to splice with.
    """
    for _ in range(rng.randint(1, 3)):
        data = rng.choice(_CHANGES)(rng, data, others)
    return data


Change = Callable[[Random, bytes, Sequence[bytes]], bytes]


def _range(rng: Random, data: bytes) -> tuple[int, int]:
    start = rng.randint(0, len(data))
    return start, min(len(data), start + rng.randint(1, _LONGEST_PIECE))


def _flip(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, _MOST_FLIPS) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut_end(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    return data[: rng.randint(0, len(data))]


def _cut_piece(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    start, end = _range(rng, data)
    return data[:start] + data[end:]


def _insert(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice((rng.choice(_TOKENS), rng.randbytes(rng.randint(1, 30)))) + data[at:]


def _overwrite(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    start, end = _range(rng, data)
    filler = rng.choice((b"\0", b" ", b"9", b"\xff", b"["))
    return data[:start] + filler * (end - start) + data[end:]


def _repeat(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    start, end = _range(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 50)) + data[end:]


def _splice(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


def _swap(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    start, end = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
    middle = (start + end) // 2
    return data[:start] + data[middle:end] + data[start:middle] + data[end:]


_CHANGES: tuple[Change, ...] = (
    _flip,
    _flip,
    _cut_end,
    _cut_piece,
    _insert,
    _insert,
    _overwrite,
    _repeat,
    _splice,
    _swap,
)
