"""Hostile requests to the control server, drawn with dice: no HTTP, bent HTTP, good HTTP with bad content."""

import json
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from sessiond.control import acting, health, reading
from sessionlib.db.queries.named import QUESTIONS
from tests.frame_parts import (
    AUTHORIZATIONS,
    BODIES,
    CHUNKS,
    ENCODINGS,
    FIELDS,
    FRAMINGS,
    HOSTS,
    METHODS,
    ORIGINS,
    PATHS,
    TEXTS,
    TYPES,
    VALUES,
    VERSIONS,
    WHOLE_BODIES,
)

AGES = tuple(health.AGE_KINDS)
GOOD = ("1", "1", "2", "0.5", "wall", "brick", "yes", "abcd1234") * 4
"""Values that some parameters take."""

READS: dict[str, Sequence[str]] = {
    "/status": (),
    "/healthz": (),
    "/metrics": (),
    "/freshness": AGES,
    "/sessions": (*reading._FILTER_KINDS, *AGES),
    "/sessions/wall": ("project", *AGES),
    "/projects": AGES,
    "/queries": (),
    **{f"/queries/{question.name}": (*reading._OPTION_KINDS, *AGES) for question in QUESTIONS},
}
"""Every reading route and what it takes."""

WRITES: dict[str, Sequence[str]] = {
    "/rescan": tuple(acting._RESCAN_KINDS),
    "/projects": ("path",),
    "/reload": (),
    "/v1/logs": ("resourceLogs",),
    "/v1/traces": ("resourceSpans",),
}


class Frame(NamedTuple):
    """Bytes for the server; `proper` when they are HTTP, so that there must be a whole answer."""

    data: bytes
    proper: bool = False


class Door(NamedTuple):
    """What requests over one listener have in common: what stands in the head of those that are let in."""

    host: str
    token: str

    @property
    def fields(self) -> list[str]:
        """The fields of a request in order."""
        return [f"Host: {self.host}", *([f"Authorization: Bearer {self.token}"] if self.token else [])]


def head(line: str, fields: Sequence[str]) -> bytes:
    """Return the head of a request."""
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1", "replace")


def request(dice: random.Random, door: Door) -> Frame:
    """Return something like a request."""
    line = f"{dice.choice(METHODS)} {dice.choice(PATHS)} {dice.choice(VERSIONS)}"
    fields = [dice.choice((*FIELDS, *door.fields)) for _ in range(dice.randrange(6))]
    return Frame(head(line, fields) + dice.choice(BODIES))


def good(dice: random.Random, door: Door) -> Frame:
    """Return a request that is in order."""
    return Frame(head(f"GET {dice.choice(PATHS[:7])} HTTP/1.1", door.fields))


def noise(dice: random.Random, _: Door) -> Frame:
    """Return bytes that are nothing."""
    return Frame(dice.randbytes(dice.choice((1, 10, 500, 20_000))))


def bent(dice: random.Random, door: Door) -> Frame:
    """Return a good request with some bytes changed."""
    data = bytearray(good(dice, door).data)
    for _ in range(dice.randrange(1, 6)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return Frame(bytes(data))


def cut(dice: random.Random, door: Door) -> Frame:
    """Return the beginning of something like a request."""
    data = request(dice, door).data
    return Frame(data[: dice.randrange(len(data))])


def piped(dice: random.Random, door: Door) -> Frame:
    """Return several requests behind one another."""
    return Frame(
        b"".join(dice.choice((good, request))(dice, door).data for _ in range(dice.randrange(2, 60)))
    )


def framed(dice: random.Random, door: Door) -> Frame:
    """Return a request whose end can be read in more than one way, perhaps with another one behind it."""
    method = dice.choice(("GET", "POST"))
    fields = [*door.fields, *dice.sample(FRAMINGS, dice.randrange(1, 3))]
    body = dice.choice((*CHUNKS, b"{}", b"0\r\n\r\n"))
    return Frame(head(f"{method} {dice.choice(PATHS[:11])} HTTP/1.1", fields) + body * dice.randrange(1, 3))


def asked(dice: random.Random, door: Door) -> Frame:
    """Return a question with parameters of every name and value."""
    path = dice.choice(tuple(READS))
    names = [*READS[path]] or ["limit"]
    if dice.random() < 0.2:
        names = [*names, *names, "path", "limits", "", "\x00", "Project"]
    chosen = dice.sample(names, min(dice.choice((1, 1, 2, 4)), len(names)))
    pairs = [f"{quote(name)}={_quoted(dice.choice((*TEXTS, *GOOD)))}" for name in chosen]
    path = path.replace("wall", _quoted(dice.choice(TEXTS)) or "wall")
    line = f"{dice.choice(('GET', 'GET', 'HEAD'))} {path}?{'&'.join(pairs)} HTTP/1.1"
    return Frame(head(line, [*door.fields, "Connection: close"]), proper=True)


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"))


def told(dice: random.Random, door: Door) -> Frame:
    """Return a request to act, with a body that is no object, or whose keys have any value."""
    path = dice.choice(tuple(WRITES))
    body = dice.choice(WHOLE_BODIES)
    if dice.random() < 0.7:
        keys = [dice.choice((*WRITES[path], *WRITES[path], "pth")) for _ in range(dice.randrange(1, 4))]
        pairs = [f"{json.dumps(key)}: {dice.choice(VALUES)}" for key in keys]
        body = ("{" + ", ".join(pairs) + "}").encode()
    encoding = f"Content-Encoding: {dice.choice(ENCODINGS)}"
    fields = [*door.fields, "Connection: close", f"Content-Length: {len(body)}"]
    fields += [f"Content-Type: {dice.choice(TYPES)}", *([encoding] if dice.random() < 0.1 else [])]
    return Frame(head(f"POST {path} HTTP/1.1", fields) + body, proper=True)


def claimed(dice: random.Random, door: Door) -> Frame:
    """Return a request of somebody who says to be another: hosts, pages and tokens of all kinds."""
    fields = [
        f"Host: {dice.choice((door.host, *HOSTS))}",
        f"Origin: {dice.choice(ORIGINS)}",
        f"Authorization: {dice.choice(AUTHORIZATIONS)}",
    ]
    chosen = dice.sample([*fields, *door.fields], dice.randrange(1, 5))
    method = dice.choice(("GET", "POST", "OPTIONS"))
    return Frame(head(f"{method} {dice.choice(PATHS[:11])} HTTP/1.1", [*chosen, "Connection: close"]))


Kind = Callable[[random.Random, Door], Frame]

KINDS: tuple[Kind, ...] = (request, good, noise, bent, cut, piped, framed, asked, asked, told, told, claimed)


def draw(dice: random.Random, door: Door) -> Frame:
    """Return one frame of any kind."""
    return dice.choice(KINDS)(dice, door)


class Said(NamedTuple):
    """One answer: its status, its head in lower case, and its body."""

    status: int
    head: bytes
    body: bytes


def answers(received: bytes) -> list[Said]:
    """Take what a server has said apart; the last answer may be cut off, and is left out then.

    Raises:
        ValueError: It is no HTTP.
    """
    found: list[Said] = []
    while received:
        if not received.startswith(b"HTTP/1."[: len(received)]):
            message = f"no HTTP: {received[:200]!r}"
            raise ValueError(message)
        top, end, rest = received.partition(b"\r\n\r\n")
        if not end:
            break
        low = top.lower()
        if b"content-length: " not in low:
            # A stream, which goes on to the end; or no body, as of 100 and 204.
            received = b"" if b"\r\ntransfer-encoding" in low or b"event-stream" in low else rest
            found.append(Said(int(top[9:12]), low, b""))
            continue
        length = int(low.partition(b"content-length: ")[2].split(b"\r\n")[0])
        # The answer to HEAD tells a length and has no body.
        body = b"" if not rest or rest.startswith(b"HTTP/1.") else rest[:length]
        if body and len(body) < length:
            break
        received = rest[len(body) :]
        found.append(Said(int(top[9:12]), low, body))
    return found
