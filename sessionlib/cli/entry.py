"""The program `sessionctl`: `status` takes the short way, everything else the whole command line.

People and monitors ask for the status often, and while something is wrong; it must not wait for half a second
of imports that it does not need. What is not plainly a call of `status` (help, a mistake, another verb) goes
the long way, where the same verb is declared for the parser.
"""

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_VERB = "status"
_VALUES = {"--config": "config", "--state-dir": "state_dir", "--runtime-dir": "runtime_dir"}
_SELDOM = 100_000
"""New objects before Python looks for garbage. Modules and models are none: to look through them again and
again while they are imported, and once more at the end, took an eighth of a call's time."""
_FLAGS = {"--json": "json", "--no-color": "no_color"}


class Quick:
    """The options of a plain call of `status`, by the names the parser gives them."""

    __slots__ = ("brief", "config", "json", "no_color", "runtime_dir", "state_dir", "wait")

    def __init__(self) -> None:
        self.config: object = None
        self.state_dir: object = None
        self.runtime_dir: object = None
        self.json = False
        self.no_color = False
        self.brief = False
        self.wait: float | None = None


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run one command; return its exit code."""
    if argv is not None:
        return _run(list(argv))
    gc.set_threshold(_SELDOM)
    # Else it looks through all that is installed for plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        return _run(sys.argv[1:])
    finally:
        gc.freeze()


def _run(words: list[str]) -> int:
    options = quick(words)
    if options is None:
        from sessionlib.cli.main import main as long_way

        return long_way(words)
    from sessionlib.cli import statusing
    from sessionlib.cli.endings import ended

    return ended(lambda: statusing.run(options))


def quick(words: list[str]) -> Quick | None:
    """Return the options of a call of `status` that needs no parser; None for everything else."""
    options = Quick()
    has_verb = False
    left = iter(words)
    for word in left:
        name, equals, value = word.partition("=")
        if word in _FLAGS:
            setattr(options, _FLAGS[word], True)
        elif name in _VALUES:
            value = value if equals else next(left, "")
            if not value or (value.startswith("-") and not equals):
                return None
            setattr(options, _VALUES[name], value)
        elif word == _VERB and not has_verb:
            has_verb = True
        elif word == "--brief" and has_verb:
            options.brief = True
        else:
            return None
    return options if has_verb else None
