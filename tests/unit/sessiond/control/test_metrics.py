"""The snapshot as Prometheus reads it, read back with its own parser."""

import math
from typing import Any

import pytest
from prometheus_client import parser

from sessiond.control.metrics import render
from sessionlib.control.status import DatabaseState, PartState, RootState, TrackingState, WorkspaceState
from tests.controls import status_of

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def families(**changed: Any) -> list[Any]:
    """Return the metric families of a snapshot."""
    body, content_type = render(status_of(**changed))
    assert content_type.startswith("text/plain")
    return list(parser.text_string_to_metric_families(body.decode()))


def samples(**changed: Any) -> Samples:
    """Return the samples of a snapshot by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families(**changed)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sessiond_as_of_age_seconds", 1.5),
        ("sessiond_stale", 0),
        ("sessiond_oldest_unsynced_seconds", 0),
        ("sessiond_overflows_total", 2),
        ("sessiond_events_total", 400),
        ("sessiond_hints_total", 80),
        ("sessiond_log_lines_lost_total", 4),
        ("sessiond_queue_waiting", 5),
        ("sessiond_queue_running", 1),
        ("sessiond_queue_delayed", 2),
        ("sessiond_queue_owed", 1),
        ("sessiond_queue_behind", 1),
        ("sessiond_synced_total", 70),
        ("sessiond_written_total", 60),
        ("sessiond_failed_total", 7),
        ("sessiond_retried_total", 6),
        ("sessiond_database_up", 1),
        ("sessiond_changes_total", 44),
        ("sessiond_subscribers", 3),
        ("sessiond_unreadable_sessions", 3),
    ],
)
def test_figures_of_the_snapshot(name: str, value: float) -> None:
    """Each figure has its name, with its unit, and its value."""
    assert samples()[(name, ())] == value


def test_figures_with_labels() -> None:
    """Roots, workspaces, parts and the build are told by their labels."""
    found = samples()
    assert found[("sessiond_root_watches", (("mode", "events"), ("root", "/p")))] == 12
    assert found[("sessiond_root_degraded", (("root", "/p"),))] == 0
    place = (("path", "/p/shop/agents/sessions"), ("project", "shop"))
    assert found[("sessiond_workspace_reconcile_age_seconds", place)] == 2
    assert found[("sessiond_part_stuck", (("part", "queue"),))] == 0
    assert found[("sessiond_build_info", (("version", "9.8.7"),))] == 1


def test_what_was_put_aside_is_a_gauge_beside_its_counter() -> None:
    """What lies there now may be deleted; what was put aside since the start only grows."""
    tracking = TrackingState(spooled=1, dropped=2, stored=3, buried=4, lines=5, dead=6)
    found = samples(tracking=tracking)
    assert (found[("sessiond_spool_dead", ())], found[("sessiond_spool_buried_total", ())]) == (6, 4)


def test_what_is_not_known_is_left_out() -> None:
    """No number is better than one that says all is well."""
    tracking = TrackingState(spooled=1, dropped=2, stored=3, buried=4, lines=5)
    names = {name for name, _ in samples(unreadable=None, tracking=tracking)}
    assert not names & {"sessiond_unreadable_sessions", "sessiond_spool_dead"}


def test_every_family_is_explained_and_typed() -> None:
    """HELP and TYPE are there for each, and only what only grows is a counter."""
    found = families()
    assert len(found) == len({family.name for family in found})
    for family in found:
        assert family.name.startswith("sessiond_")
        assert len(family.documentation) > 10
        counted = all(sample.name.endswith("_total") for sample in family.samples)
        assert family.type == ("counter" if counted else "gauge")


def test_trouble_is_visible() -> None:
    """Unknown age is infinite, so that an alert on it fires; a part that has ended counts as stuck."""
    found = samples(
        as_of=None,
        age_s=None,
        stale=True,
        reasons=("no look yet",),
        oldest_unsynced_s=31.5,
        database=DatabaseState(name="n", backend="postgresql", up=False, error="refused", down_s=4.0),
        parts=(
            PartState(name="queue", alive=True, stuck=True, idle_s=200.0),
            PartState(name="watcher", alive=False, stuck=False, idle_s=1.0),
        ),
    )
    assert found[("sessiond_as_of_age_seconds", ())] == math.inf
    assert found[("sessiond_stale", ())] == 1
    assert found[("sessiond_oldest_unsynced_seconds", ())] == 31.5
    assert found[("sessiond_database_up", ())] == 0
    assert found[("sessiond_part_stuck", (("part", "queue"),))] == 1
    assert found[("sessiond_part_stuck", (("part", "watcher"),))] == 1


def test_hostile_paths_stay_one_label() -> None:
    """Quotes, line breaks, backslashes and bytes that are no UTF-8 forge no sample."""
    evil = '/p/"} 1\nsessiond_stale 7\n\\\udce9'
    root = RootState(path=evil, mode="polling", reason=None, watches=0, sessions_roots=0, degraded=True)
    place = WorkspaceState(
        project=None, path=evil, reconciled_at="", age_s=1.0, sessions=0, missing=False, complete=True
    )
    found = samples(roots=(root,), workspaces=(place,))
    shown = evil.replace("\udce9", "\\udce9")
    assert found[("sessiond_stale", ())] == 0
    assert found[("sessiond_root_degraded", (("root", shown),))] == 1
    assert found[("sessiond_workspace_reconcile_age_seconds", (("path", shown), ("project", "")))] == 1
