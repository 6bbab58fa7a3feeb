"""The whole corpus: every entry with a name of its own."""

from dataclasses import replace
from functools import cache

from tests.hostile import encodings, fields, sizes, syntax, texts, times
from tests.hostile.entry import PLAN, RUN, STATE, Entry

_BESIDE = (
    "empty",
    "zeros",
    "list",
    "yaml",
    "html",
    "nan",
    "merge conflict",
    "trailing words",
    "cut at 12 of 24",
    "latin-1",
    "utf-16-le marked",
    "double mark",
    "100 MB",
    "200,000 keys",
    "10,000 levels of objects",
    "1,000,000 levels",
    "100,000 digits",
    "placeholder with codes",
    "zero in a key",
    "half in a key",
    "duplicate keys",
    "empty object",
    "1 MB key",
    "longest wide text",
)
"""Entries that are also tried as plan.json and as a research run's state file."""


@cache
def corpus() -> tuple[Entry, ...]:
    """Return all entries."""
    groups = (syntax, encodings, sizes, fields, times, texts)
    found = [entry for group in groups for entry in group.entries()]
    by_name = {entry.name: entry for entry in found}
    for file in (PLAN, RUN):
        for name in _BESIDE:
            entry = by_name[name]
            words = entry.refused and entry.refused.removeprefix(f"{STATE} ")
            warned = (file,) if words else ()
            found.append(
                replace(entry, name=f"{name} ({file.split('/')[0]})", file=file, refused=words, warned=warned)
            )
    return tuple(found)


@cache
def named(name: str) -> Entry:
    """Return one entry."""
    return next(entry for entry in corpus() if entry.name == name)
