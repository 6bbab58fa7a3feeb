"""One daemon, the whole hostile corpus as sessions of one project: first good, then bad, then mended."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import builders
from tests.acceptance.conftest import StartDaemon
from tests.acceptance.processes import Daemon, asked, direct, sessionctl
from tests.hostile import memory, oracle
from tests.hostile.corpus import corpus
from tests.hostile.entry import Entry

pytestmark = pytest.mark.timeout(600)

Wait = Callable[..., None]

ROOT = "agents/sessions"
MOST_GROWTH = 100 << 20
SHOWN = ("empty", "nan", "merge conflict", "100 MB", "1,000,000 levels", "utf-16-le marked", "escape codes")
"""Entries that `sessionctl show` is asked about; each call is a process."""


def slug_of(number: int) -> str:
    """Return the folder of the entry with this number."""
    return f"s{number:04}"


def errors(url: str) -> dict[str, str | None]:
    """Return the error of every session that is stored."""
    return dict(direct(url, "SELECT slug, error FROM sessions"))


def topics(url: str) -> dict[str, str | None]:
    """Return the topic of every session that is stored."""
    return dict(direct(url, "SELECT slug, topic FROM sessions"))


def fill(root: Path, slugs: list[str], turn: str) -> None:
    """Give these sessions good files."""
    for slug in slugs:
        document = builders.hybrid_21_keys(topic=f"{slug} {turn}")
        run = builders.research_run(request=turn)
        builders.make_session(root, slug, document, builders.plan(5), {"soil": run})


def test_the_corpus_does_no_harm(
    tmp_path: Path, database_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """Last good rows stay with clear errors, neighbours follow, all heal, memory and log stay small."""
    entries = {slug_of(number): entry for number, entry in enumerate(corpus())}
    neighbours = [slug_of(number) for number in range(len(entries), len(entries) + 10)]
    everybody = [*entries, *neighbours]
    root = builders.make_project(tmp_path / "code" / "garden") / ROOT
    fill(root, everybody, "good")
    daemon = start_daemon(database_url, tmp_path / "code")
    wait_until(lambda: topics(database_url) == {slug: f"{slug} good" for slug in everybody}, "all good", 200)
    before = memory.rss(daemon.pid)

    for slug, entry in entries.items():
        entry.write(root / slug)
    fill(root, neighbours, "better")
    failing = {slug for slug, entry in entries.items() if entry.fails_session}
    wait_until(
        lambda: {slug for slug, error in errors(database_url).items() if error is not None} == failing,
        "all bad",
        200,
    )
    better = {slug: f"{slug} better" for slug in neighbours}
    wait_until(lambda: better.items() <= topics(database_url).items(), "the neighbours", 200)
    now = topics(database_url)
    assert {slug: now[slug] for slug in failing} == {slug: f"{slug} good" for slug in failing}
    _check_answers(daemon, entries, errors(database_url))

    fill(root, everybody, "mended")
    wait_until(lambda: topics(database_url) == {slug: f"{slug} mended" for slug in everybody}, "healing", 200)
    assert set(errors(database_url).values()) == {None}
    assert asked(daemon.environment, "query", "unreadable") == []
    grown = memory.peak(daemon.pid) - before
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log
    assert ".crashed" not in daemon.log
    assert "sync.rejected" not in daemon.log
    assert grown <= MOST_GROWTH, f"{grown / 2**20:.0f} MiB"


def _check_answers(daemon: Daemon, entries: dict[str, Entry], said: dict[str, str | None]) -> None:
    """Look at what people and programs are told."""
    unclear = {
        entries[slug].name: error for slug, error in said.items() if error and oracle.unclear_words(error)
    }
    assert unclear == {}
    wrong = {
        entry.name: said[slug]
        for slug, entry in entries.items()
        if entry.fails_session and str(entry.refused) not in str(said[slug])
    }
    assert wrong == {}
    listed = asked(daemon.environment, "sessions", "--limit", "1000")
    assert {row["slug"]: row["error"] for row in listed} == said
    unreadable = asked(daemon.environment, "query", "unreadable", "--limit", "1000")
    assert {Path(row["path"]).name for row in unreadable} == {slug for slug, error in said.items() if error}
    names = {entry.name: slug for slug, entry in entries.items()}
    for name in SHOWN:
        _check_shown(daemon, names[name], said[names[name]])


def _check_shown(daemon: Daemon, slug: str, error: str | None) -> None:
    (row,) = asked(daemon.environment, "show", slug)
    assert row["session"]["error"] == error
    sheet = sessionctl(daemon.environment, "show", slug)
    assert sheet.returncode == 0, sheet.stderr
    assert sheet.stdout.replace("\n", "").isprintable()
    assert "Traceback" not in sheet.stderr
