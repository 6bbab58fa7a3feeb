"""Rings: each hint once, the widest first."""

from pathlib import Path

from sessiond.hints import ProjectsTouched, RootTouched, SessionTouched
from sessiond.watch.rings import Rings


def test_each_once_and_widest_first():
    """However often and in whatever order it rang, a batch gives projects, roots, sessions, each once."""
    rings = Rings()
    for _ in range(3):
        rings.session("/p/agents/sessions/a")
        rings.root("/q/agents/sessions", "vanished")
        rings.projects("/", "vanished")
    rings.root("/q/agents/sessions", "appeared")
    assert list(rings.hints()) == [
        ProjectsTouched(Path("/"), "vanished"),
        RootTouched(Path("/q/agents/sessions"), "appeared"),
        SessionTouched(Path("/p/agents/sessions/a")),
    ]


def test_sessions_of_a_root_that_rings_are_left_out():
    """A root that is reconciled as a whole needs no hints for its sessions; a root of like name does."""
    rings = Rings()
    rings.root("/p/s", "overflow")
    rings.session("/p/s/a")
    rings.session("/p/s2/a")
    assert list(rings.hints())[1:] == [SessionTouched(Path("/p/s2/a"))]
