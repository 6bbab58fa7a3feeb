"""The board: what is lost, polled, missing, unlisted, owed or ended, and how it heals."""

import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from sessiond import reload
from sessiond.agenda import EVERYTHING
from sessiond.board import Limits
from sessiond.parts import Parts
from sessiond.targets import Target
from sessionlib.config import Config
from sessionlib.errors import DatabaseUnavailableError, StateUnreadableError
from sessionlib.models.base import utc_now
from sessionlib.runtime import Runtime
from sessionlib.state.scan import sessions_roots_of
from sessionlib.sync.mirror import Outcome, Result
from sessionlib.sync.reconcile import Report
from tests import builders
from tests.boards import ROOT, Gate, Start, config_fixture, down_fixture, fresh_fixture, save, start_fixture
from tests.conftest import Wait

__all__ = ["config_fixture", "down_fixture", "fresh_fixture", "start_fixture"]


# --- roots -----------------------------------------------------------------------------------------


def test_lost_events_are_healed_by_a_clean_round(fresh: Parts, wait_until: Wait) -> None:
    """From a loss on the mirror is as of the last clean round, until another one is over."""
    gate = Gate(fresh.runtime)
    lost = utc_now()
    fresh.watcher._distrust("overflow", None)
    assert gate.reached.wait(10)
    wait_until(lambda: fresh.board.health().reasons)
    health = fresh.board.health()
    assert health.as_of is not None
    assert health.as_of <= lost
    assert [root.degraded for root in fresh.board.roots()] == [True]
    gate.open.set()
    wait_until(lambda: not fresh.board.roots()[0].degraded and not fresh.board.health().reasons)
    assert (fresh.board.health().as_of or lost) > lost


def test_a_folder_that_cannot_be_listed_is_named(
    fresh: Parts, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """Lost events that cannot be made good are a reason that says which folder is to be mended."""
    real = fresh.runtime.reconcile

    def unlisted(path: Path, **more: Any) -> Report:
        return Report(real(path, **more).place, complete=False)

    monkeypatch.setattr(fresh.runtime, "reconcile", unlisted)
    fresh.watcher._distrust("overflow", None)
    wait_until(lambda: any("cannot be listed" in words for words in fresh.board.health().reasons))
    assert any(f"shop/{ROOT} cannot" in words for words in fresh.board.health().reasons)


def test_polled_folders_are_as_fresh_as_the_last_look(start: Start, wait_until: Wait) -> None:
    """Without events the mirror is never as of now, and no older than two looks."""
    parts = start(force_polling=True, poll_interval=0.3)
    wait_until(lambda: parts.rounds.first_round_over and not parts.board.health().reasons)
    ages = []
    for _ in range(50):
        ages.append(parts.board.health().age or 0.0)
        time.sleep(0.01)
    assert min(ages) > 0
    assert max(ages) < 2.0
    assert max(ages) > 0.2
    assert [root.mode for root in parts.board.roots()] == ["polling"]


def test_a_root_that_is_not_there_is_no_reason(start: Start, tmp_path: Path, wait_until: Wait) -> None:
    """A watched folder that is missing is looked for, and the others are fresh meanwhile."""
    parts = start(roots=(tmp_path / "code", tmp_path / "later"))
    wait_until(lambda: parts.rounds.first_round_over and not parts.board.health().reasons)
    builders.make_project(tmp_path / "later" / "garden", ["four"])
    wait_until(lambda: len(parts.board.workspaces(parts.name_of)) == 2, "the project in it")
    wait_until(lambda: not parts.board.health().reasons)


def test_a_reload_finds_what_lies_in_its_new_root(
    fresh: Parts, config: Config, tmp_path: Path, wait_until: Wait
) -> None:
    """The round that a reload asks for already looks below the new root."""
    builders.make_project(tmp_path / "more" / "garden", ["four"])
    roots = (*config.watch.roots, tmp_path / "more")
    seen: list[tuple[Path, ...]] = []
    real = fresh.rounds.request

    def request(root: Path, reason: str) -> None:
        if reason == "reload":
            seen.append(fresh.config.watch.roots)
        real(root, reason)

    fresh.rounds.request = request  # type: ignore[method-assign]
    changed = config.model_copy(update={"watch": config.watch.model_copy(update={"roots": roots})})
    reload.apply(fresh, changed)
    assert seen == [roots]
    wait_until(lambda: len(fresh.board.workspaces(fresh.name_of)) == 2, "the project in it")
    wait_until(lambda: not fresh.board.health().reasons)


def test_a_registered_project_that_cannot_be_searched_spoils_no_round(
    fresh: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """The others are compared, a rescan of everything is answered, and the problem is logged."""
    builders.make_project(tmp_path / "elsewhere" / "apart", ["four"])
    fresh.runtime.registrar.register_project(tmp_path / "elsewhere" / "apart")

    def closed(path: Path, options: Any) -> Any:
        if path.name == "apart":
            raise StateUnreadableError("cannot look: Permission denied", session_dir=path)
        return sessions_roots_of(path, options)

    monkeypatch.setattr("sessiond.discovery.sessions_roots_of", closed)
    rows = fresh.rescans.ask(Target()).result(20)
    assert [row.sessions for row in rows] == [3]
    wait_until(lambda: not fresh.board.health().reasons)


# --- what is owed ----------------------------------------------------------------------------------


def test_what_is_owed_by_a_folder_that_is_gone_is_forgiven(
    fresh: Parts, config: Config, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """A folder that could not be synced makes the mirror stale, and no longer once it is not there."""
    real = fresh.runtime.mirror.sync

    def refuse(place: Any, slugs: Any, **more: Any) -> list[Result]:
        if "one" in slugs:
            return [Result(slug, Outcome.REJECTED, "no") for slug in slugs]
        return real(place, slugs, **more)

    monkeypatch.setattr(fresh.runtime.mirror, "sync", refuse)
    save(config)
    wait_until(lambda: fresh.runtime.queue.owed)
    wait_until(lambda: any("cannot be synced" in words for words in fresh.board.health().reasons))
    # All at once, so that nothing says that this very folder went.
    shop = config.watch.roots[0] / "shop"
    shop.rename(Path(tempfile.mkdtemp(dir=config.watch.roots[0].parent)) / "shop")
    wait_until(lambda: not fresh.runtime.queue.owed, "the debt to be forgiven")
    wait_until(lambda: not fresh.board.health().reasons)


def test_a_debt_under_another_path_is_settled_too(
    start: Start, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """Events come by the linked path that is watched, comparisons by the real one: both pay the debt."""
    (tmp_path / "link").symlink_to(tmp_path / "code")
    parts = start(roots=(tmp_path / "link",))
    wait_until(lambda: parts.rounds.first_round_over and not parts.board.health().reasons)
    real = parts.runtime.mirror.sync
    monkeypatch.setattr(
        parts.runtime.mirror,
        "sync",
        lambda _place, slugs, **_: [Result(slug, Outcome.REJECTED, "no") for slug in slugs],
    )
    save(config)
    wait_until(lambda: [path for path in parts.runtime.queue.owed if "link" in path.parts])
    monkeypatch.setattr(parts.runtime.mirror, "sync", real)
    parts.rounds.request(EVERYTHING, "again")
    wait_until(lambda: not parts.runtime.queue.owed, "the debt to be settled")
    wait_until(lambda: not parts.board.health().reasons)


# --- parts that end --------------------------------------------------------------------------------


def test_a_watcher_that_ended_tells_of_nothing_new(fresh: Parts, wait_until: Wait) -> None:
    """Without a watcher the mirror is as of its last look, and the reason names it."""
    fresh.watcher.stop()
    ended = utc_now()
    wait_until(lambda: (fresh.board.health().age or 0) > 0.5)
    health = fresh.board.health()
    assert health.as_of is not None
    assert health.as_of <= ended
    assert any("watcher has ended" in words for words in health.reasons)
    assert any("watcher" in words for words in fresh.board.stuck())


def test_rounds_that_hang_are_stuck(fresh: Parts, wait_until: Wait) -> None:
    """A comparison that does not end is named with what it is at, and the watchdog is not fed."""
    gate = Gate(fresh.runtime)
    fresh.board.limits = Limits(stale_after=60, stuck_after=0.2)
    fresh.rounds.request(EVERYTHING, "overflow")
    assert gate.reached.wait(10)
    wait_until(lambda: any("rounds makes no progress: comparing" in words for words in fresh.board.stuck()))
    states = {state.name: state for state in fresh.board.part_states()}
    assert states["rounds"].stuck
    assert not states["feed"].stuck
    gate.open.set()
    wait_until(lambda: not fresh.board.stuck())


def test_the_start_outlives_a_database_that_has_gone(
    start: Start, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """A database that goes down between its opening and the first round keeps nothing from starting."""
    failures = [DatabaseUnavailableError("down"), DatabaseUnavailableError("down")]
    monkeypatch.setattr("sessiond.rounds._DATABASE_RETRY", 0.05)

    def prepare(runtime: Runtime) -> None:
        real = runtime.registrar.registered_paths

        def registered_paths() -> list[Path]:
            if failures:
                raise failures.pop()
            return real()

        runtime.registrar.registered_paths = registered_paths  # type: ignore[method-assign]

    parts = start(prepare)
    wait_until(lambda: not parts.board.health().reasons)
    assert failures == []
