"""How conversations and agents stand, as it follows from what was observed of them. Pure."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sessionlib.db.types import decode_time
from sessionlib.journal.facts import Weight
from sessionlib.sync.ingest.joining import Observed

_MOMENT = timedelta(microseconds=1)
_SLACK = timedelta(seconds=5)
"""Two sources that tell of one moment differ by less: a hook runs some time after what it tells of."""


class Standing(NamedTuple):
    """How a conversation stands.

    Attributes:
        status: ``active``, ``ended``, ``abandoned`` or ``phantom``.
        ended_at: When it ended.
        reason: Why, in the client's words; ours where the client said nothing.
        is_estimated: Whether the end is a guess from its last activity.
        boundary: No agent that was last active before has gone on after it; None without such a moment.
    """

    status: str
    ended_at: datetime | None
    reason: str | None
    is_estimated: bool
    boundary: datetime | None


class Run(NamedTuple):
    """How an agent's run stands."""

    status: str
    ended_at: datetime | None
    error: str | None
    is_estimated: bool


def moment(text: Any) -> datetime | None:
    """Return the time that `joining.stamp` wrote."""
    return decode_time(text) if text else None


def value(observed: Observed, field: str) -> Any:
    """Return what was observed of a field that is ordered by its first entry."""
    found = observed.get(field)
    return None if found is None else found[1]


def of_conversation(observed: Observed) -> Standing:
    """Return how a conversation stands. Its observations hold at least its first and last sign of life."""
    last = decode_time(observed["last"])
    ended = observed.get("ended")
    restarted = observed.get("restarted", "")
    # A guess holds as long as nothing came after what it was made from, whatever the clock said then.
    guessed = {name for name in ("abandoned", "phantom") if observed.get(name) == observed["last"]}
    end = None if ended is None else decode_time(ended[0])
    boundary = moment(max(restarted, ended[0] if ended else ""))
    if guessed:
        boundary = last + _MOMENT
    if ended is not None and end is not None and end >= last - _SLACK and ended[0] >= restarted:
        status = "phantom" if "phantom" in guessed else "ended"
        return Standing(status, max(end, last), ended[1], is_estimated=False, boundary=boundary)
    for name in ("phantom", "abandoned"):
        if name in guessed:
            return Standing(name, last, name, is_estimated=True, boundary=boundary)
    return Standing("active", None, None, is_estimated=False, boundary=boundary)


def of_spawned(observed: Observed, conversation: Standing) -> Run:
    """Return how a spawned agent's run stands."""
    last = moment(observed.get("last"))
    end = _end(observed, last)
    if end is not None:
        return end
    if last is not None and conversation.boundary is not None and last < conversation.boundary:
        return Run("interrupted", last, None, is_estimated=True)
    if last is None and conversation.status != "active":
        return Run("interrupted", conversation.ended_at, None, is_estimated=True)
    return Run("running", None, None, is_estimated=False)


def of_main(observed: Observed, worked: datetime | None, conversation: Standing) -> Run:
    """Return how a main agent's run stands; `worked` is when it last did."""
    end = _end(observed, worked)
    if end is not None and end.status == "failed":
        return end._replace(ended_at=conversation.ended_at or end.ended_at)
    if conversation.status == "active":
        return Run("running", None, None, is_estimated=False)
    status = "interrupted" if conversation.status == "abandoned" else "complete"
    return Run(status, conversation.ended_at, None, conversation.is_estimated)


def _end(observed: Observed, last: datetime | None) -> Run | None:
    """Return the end that counts: of those after which nothing was done, the one that is best known."""
    best: tuple[int, str] | None = None
    run = None
    for name, (at, words) in observed_ends(observed):
        ending, weight = name.split(".")[1:]
        when = moment(at)
        if when is not None and last is not None and when < last - _SLACK:
            continue
        if best is None or (int(weight), at) > best:
            best = int(weight), at
            run = Run(ending, when or last, words or None, is_estimated=False)
    return run


def observed_ends(observed: Observed) -> list[tuple[str, list[str]]]:
    """Return the ends that were told of an agent's run, by the name of their field."""
    return sorted((name, told) for name, told in observed.items() if name.startswith("end."))


_SOURCES = {Weight.TRANSCRIPT: "transcript", Weight.RESULT: "result", Weight.META: "meta"}


def parent_of(observed: Observed) -> tuple[str, str]:
    """Return the native id of the agent that spawned one, '' for the main agent, and what told so."""
    told = observed.get("parent")
    if told is None:
        return "", "assumed"
    return told[1], source_of(told[0])


def source_of(weight: int) -> str:
    """Return what told of a parent, by its weight."""
    return _SOURCES.get(Weight(weight), "assumed")
