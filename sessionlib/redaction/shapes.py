"""Secrets by how they look: tokens that their issuers gave a prefix, signed tokens, private keys.

Each shape wants enough characters of the right kind that words, hashes, UUIDs and file names are none. No
pattern can look twice at the same stretch of text from two beginnings, so that none runs away.
"""

import re
from typing import NamedTuple

from sessionlib.redaction.places import MASK


class _Shape(NamedTuple):
    """What a secret looks like, and a piece that each such secret holds: quick to look for."""

    hint: str
    pattern: re.Pattern[str]


_DIGIT = r"(?=[\w-]{0,40}?[0-9])"
_CAPITAL = r"(?=[\w-]{0,40}?[A-Z])"
_EITHER = r"(?=[\w-]{0,40}?[0-9A-Z])"
_ENDS_OF_ESCAPES = (
    r"\\[abfnrtv]",
    r"\\x[0-9a-fA-F]{2}",
    r"\\u[0-9a-fA-F]{4}",
    r"%[0-9A-Fa-f]{2}",
    r"[^\w-]-",
    r"\A-",
    *(rf"[\[;]{digits}m" for digits in (r"\d", r"\d\d")),
)
"""What may stand before a secret and looks like a part of its word: an escape, a colour, a minus."""

_SLASH = r"(?:\\*/|%2[Ff])"


def _starting(prefix: str) -> str:
    """Return the pattern of a prefix, of fixed length, that begins a word.

    The look behind comes after the prefix, because a pattern that begins with letters is found much sooner.
    """
    starts = "|".join(rf"(?<={end}{prefix})" for end in _ENDS_OF_ESCAPES)
    return rf"{prefix}(?:(?<![\w-]{prefix})|{starts})"


def _shapes(pattern: str, *hints: str) -> list[_Shape]:
    compiled = re.compile(pattern, re.ASCII)
    return [_Shape(hint, compiled) for hint in hints]


_JWT = (
    rf"{_starting('eyJ')}[\w-]{{8,}}+"
    r"(?:\.eyJ[\w-]{8,}+(?:\.[\w-]*)?|(?:\.[\w-]{8,}+){2,4})"
)
_STATELESS = r"ghs_(?=[\w.-]{0,40}?[A-Z])(?=[\w.-]{0,40}?[0-9])[\w.-]{36,}"
_OPENAI_LIKE = (
    rf"(?:ant-[a-z]{{2,10}}[0-9]{{2}}-[\w-]{{12,}}|[a-zA-Z]{{2,10}}-(?:v\d-)?{_DIGIT}{_CAPITAL}[\w-]{{20,}}"
    rf"|(?:or-v1-)?[0-9a-f]{{32,}}|{_DIGIT}[A-Za-z0-9]{{20,}})"
)
_GITLAB = ("glpat-", "glrt-", "gldt-", "glptt-", "glcbt-", "glsoat-", "glft-", "glimt-", "glagent-", "gloas-")

_SHAPES: tuple[_Shape, ...] = (
    *_shapes(rf"{_starting('sk-')}{_OPENAI_LIKE}", "sk-"),
    *_shapes(
        rf"{_starting('[sr]k_')}(?:org_)?(?:live|test)_{_EITHER}[A-Za-z0-9]{{16,}}", "k_live_", "k_test_"
    ),
    *_shapes(r"whsec_[A-Za-z0-9+/=]{24,}", "whsec_"),
    *(shape for kind in "pour" for shape in _shapes(rf"gh{kind}_[A-Za-z0-9]{{30,}}\w*", f"gh{kind}_")),
    *_shapes(rf"ghs_[A-Za-z0-9]{{30,}}[\w.-]*|{_STATELESS}", "ghs_"),
    *_shapes(r"github_pat_[A-Za-z0-9]{20,}\w*", "github_pat_"),
    *(shape for prefix in _GITLAB for shape in _shapes(rf"{prefix}{_EITHER}[\w-]{{20,}}[\w.-]*", prefix)),
    *_shapes(r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])", "AKIA", "ASIA"),
    *_shapes(rf"xox[abeprs](?:\.xox[bp])?-{_DIGIT}[\w-]{{10,}}", "xox"),
    *_shapes(rf"xapp-\d-{_DIGIT}[\w-]{{20,}}", "xapp-"),
    *_shapes(
        rf"(?P<kept>hooks\.slack(?:-gov)?\.com{_SLASH}(?:services|workflows|triggers){_SLASH})[\w/\\%+-]{{20,}}",
        "hooks.slack",
    ),
    *_shapes(r"AIza[\w-]{30,}", "AIza"),
    *_shapes(rf"ya29\.{_EITHER}[\w-]{{20,}}[\w.-]*", "ya29."),
    *_shapes(rf"1(?://|%2[Ff]%2[Ff])0{_CAPITAL}[\w-]{{30,}}", "1//0", "%2F0", "%2f0"),
    *_shapes(rf"GOCSPX-{_EITHER}[\w-]{{20,}}", "GOCSPX-"),
    *_shapes(r"npm_[A-Za-z0-9]{30,}", "npm_"),
    *_shapes(rf"pypi-(?:AgE[\w-]{{16,}}|{_DIGIT}{_CAPITAL}[\w-]{{40,}})", "pypi-"),
    *_shapes(r"hf_[A-Za-z0-9]{30,}", "hf_"),
    *_shapes(_JWT, "eyJ"),
)
_GATES = ("gl", "_", "-", "")


def _by_gate() -> tuple[tuple[str, tuple[_Shape, ...]], ...]:
    """Return the shapes by a piece that several hints share: without it none of them is looked for."""
    gates: dict[str, list[_Shape]] = {gate: [] for gate in _GATES}
    for shape in _SHAPES:
        gates[next(gate for gate in _GATES if gate in shape.hint)].append(shape)
    return tuple((gate, tuple(shapes)) for gate, shapes in gates.items())


_SHAPES_BY_GATE = _by_gate()

_KEY_EDGE = re.compile(
    r"-----(?P<edge>BEGIN|END)(?:[ +]|%20)(?:[A-Z0-9 +]|%20){0,40}PRIVATE(?:[ +]|%20)KEY[A-Z +%20]{0,10}-----"
)
_KEY_RUN = re.compile(r"[A-Za-z0-9+/=]{24}")
"""Characters in a row that a key has and words have not."""


def has_shape(text: str) -> bool:
    """Tell whether there may be such a secret in the text, much sooner than by cleaning it."""
    return bool(_candidates(text)) or "PRIVATE" in text


def without_shapes(text: str) -> str:
    """Return the text with a mask for each such secret, in time proportional to its length."""
    for _, pattern in _candidates(text):
        text = pattern.sub(_masked, text)
    return _without_keys(text) if "PRIVATE" in text else text


def _candidates(text: str) -> list[_Shape]:
    """Return the shapes whose hints stand in the text; of most texts none."""
    found: list[_Shape] = []
    for gate, shapes in _SHAPES_BY_GATE:
        if gate in text:
            for shape in shapes:
                if shape[0] in text:
                    found.append(shape)  # noqa: PERF401 - a comprehension takes longer where nothing is found
    return found


def _masked(match: re.Match[str]) -> str:
    return (match.groupdict().get("kept") or "") + MASK


def _without_keys(text: str) -> str:
    """Mask private keys between their edges; of one that was cut, what there is up to the text's end."""
    shown: list[str] = []
    done = 0
    is_open = False
    for edge in _KEY_EDGE.finditer(text):
        # What ends here began here or before the text was cut; what stands before a beginning is no key.
        is_key = is_open or edge["edge"] == "END"
        shown += (_body(text[done : edge.start()]) if is_key else text[done : edge.start()], edge[0])
        done, is_open = edge.end(), edge["edge"] == "BEGIN"
    rest = text[done:]
    return "".join([*shown, _body(rest) if is_open else rest])


def _body(text: str) -> str:
    return MASK if _KEY_RUN.search(text) else text
