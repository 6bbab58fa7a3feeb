"""What is wrong with a configuration, in words: each problem names its place, its key and what is allowed.

A value is shown where it helps, but never one that may hold a secret.
"""

import json
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sessionlib.config.sections import ModelPrice, Unit
from sessionlib.errors import ConfigError

SECRET_KEYS = frozenset({"database.url"})
"""Keys whose values are never repeated in a message."""

RENAMED = {"log_level": ("log", "level")}
"""Keys of older versions, and the section and key they have become."""

_SHOWN_MOST = 60
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class Problem(NamedTuple):
    """One thing to mend. `where` is a file, a variable, a credential or an option."""

    where: str
    key: str
    reason: str
    hint: str | None = None

    @property
    def message(self) -> str:
        """The sentence, without its hint."""
        place = (
            f"{self.where}: {self.key}" if self.key and not self.reason.startswith("unknown") else self.where
        )
        return f"{place}: {self.reason}"

    @property
    def line(self) -> str:
        """The sentence with its hint."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


def as_error(problems: Sequence[Problem]) -> ConfigError:
    """Return the error of the first problem, which carries the others in its `problems`."""
    first = problems[0]
    return ConfigError(
        first.message,
        key=first.key,
        source=first.where,
        hint=first.hint,
        problems=tuple(problem.line for problem in problems[1:]),
    )


def name_of(place: Iterable[str | int]) -> str:
    """Return the dotted name of a key; parts that TOML would quote are quoted."""
    texts = map(str, place)
    return ".".join(text if _BARE_KEY.fullmatch(text) else json.dumps(text)[:_SHOWN_MOST] for text in texts)


def unknown(place: Sequence[str | int], where: str, sections: Mapping[str, type[BaseModel]]) -> Problem:
    """Return the problem of a key or section that does not exist, with the nearest that does."""
    name = str(place[-1])
    section = str(place[0]) if len(place) > 1 else ""
    known = list(sections[section].model_fields) if section else [*sections, "prices"]
    return Problem(
        where, name_of(place), f"unknown key {name_of(place)}", _nearest(name, section, known, sections)
    )


def _nearest(name: str, section: str, known: list[str], sections: Mapping[str, type[BaseModel]]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only needed for this message

    if name in RENAMED and section in {"", "daemon"}:
        new_section, new_name = RENAMED[name]
        return f"{name} is {new_name} in [{new_section}] now"
    homes = [other for other, model in sections.items() if name in model.model_fields]
    if homes:
        return f"{name} belongs in {' or '.join(f'[{home}]' for home in homes)}"
    if close := get_close_matches(name, known, n=1):
        return f"did you mean {close[0]}?"
    elsewhere = {key: other for other, model in sections.items() for key in model.model_fields}
    if close := get_close_matches(name, elsewhere, n=1, cutoff=0.75):
        return f"did you mean {close[0]} in [{elsewhere[close[0]]}]?"
    return f"allowed here: {', '.join(sorted(known))}"


def unfit_price(detail: Mapping[str, Any], where: str) -> Problem:
    """Return what is wrong with one model's prices, or with its name."""
    place = detail["loc"]
    price = place[:2]
    match detail["type"]:
        case "extra_forbidden":
            known = ", ".join(sorted(ModelPrice.model_fields))
            return Problem(where, name_of(place), f"unknown key {name_of(place)}", f"allowed here: {known}")
        case "missing":
            return Problem(where, name_of(place), f"is missing; it must be {allowed(_price_field(place))}")
        case "value_error":
            return Problem(where, name_of(price), str(detail["ctx"]["error"]))
        case "model_type" | "model_attributes_type":
            return Problem(where, name_of(price), f"must be a table, [{name_of(price)}]")
        case _:
            return unfit(detail, where, _price_field(place))


def _price_field(place: Sequence[str | int]) -> FieldInfo:
    return ModelPrice.model_fields[str(place[2])]


def unfit(detail: Mapping[str, Any], where: str, field: FieldInfo) -> Problem:
    """Return the problem of a value of a wrong type or out of range, from pydantic's account of it."""
    key = name_of(detail["loc"])
    told = detail.get("ctx", {}).get("error") if detail["type"] == "value_error" else None
    if told is not None:
        return Problem(where, key, str(told))
    inner = len(detail["loc"]) > 2  # noqa: PLR2004 - section, key and the place in a list
    reason = f"must be {allowed(field, inner=inner)}"
    if key not in SECRET_KEYS:
        reason += f", not {shown(detail['input'])}"
    return Problem(where, key, reason)


def allowed(field: FieldInfo, *, inner: bool = False) -> str:
    """Return what a key takes, in words; with `inner`, what each entry of its list is."""
    kind = _plain(field.annotation)
    if get_origin(kind) is tuple:
        entry = _plain(get_args(kind)[0])
        return _KINDS[entry] if inner else _LISTS[entry]
    if get_origin(kind) is Literal:
        *others, last = (json.dumps(word) for word in get_args(kind))
        return f"{', '.join(others)} or {last}"
    limits = _limits([*field.metadata, *_marks(field.annotation)])
    return f"{_KINDS[kind]}{limits}"


_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
    Path: "a path in quotes",
    UUID: "a UUID such as 8c5f2f2e-6d3b-4c58-9d0b-5a8f0b8f9f11",
}
_LISTS = {str: "a list of texts", Path: "a list of paths"}


def _plain(annotation: Any) -> Any:
    """Return a type without ``Annotated`` and ``| None``."""
    if get_origin(annotation) in {Union, types.UnionType}:
        annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
    return (
        getattr(annotation, "__origin__", annotation) if hasattr(annotation, "__metadata__") else annotation
    )


def _marks(annotation: Any) -> Iterator[object]:
    """Yield the marks of a type that may be left out: they stand at the type, not at the key."""
    for kind in get_args(annotation) if get_origin(annotation) in {Union, types.UnionType} else ():
        for mark in getattr(kind, "__metadata__", ()):
            yield from mark.metadata if isinstance(mark, FieldInfo) else (mark,)


def _limits(metadata: Iterable[object]) -> str:
    ends = {end: getattr(mark, end) for mark in metadata for end in ("ge", "gt", "le") if hasattr(mark, end)}
    text = ""
    if "ge" in ends:
        text = f" from {ends['ge']:g} to {ends['le']:g}"
    elif "gt" in ends:
        text = f" above {ends['gt']:g} and up to {ends['le']:g}"
    unit = next((mark.name for mark in metadata if isinstance(mark, Unit)), None)
    return f"{text} ({unit})" if unit else text


def shown(value: object) -> str:
    """Return a value for a message: short, on one line, nothing in it that a terminal would obey."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value[:_SHOWN_MOST]) + ("…" if len(value) > _SHOWN_MOST else "")
    if isinstance(value, int | float):
        return str(value)[:_SHOWN_MOST]
    if isinstance(value, Path | UUID):
        return shown(str(value))
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, list | tuple) else "a date or time"
