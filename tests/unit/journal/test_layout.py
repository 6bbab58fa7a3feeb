"""Which files are transcripts, and whose, in the layouts of four client versions."""

from collections import Counter
from pathlib import Path

import pytest

from sessionlib.journal.claude_code import layout
from sessionlib.journal.facts import MAIN

TRANSCRIPTS = Path(__file__).parents[2] / "fixtures" / "claude_code" / "transcripts"
ID = "4a841469-69db-4738-b4bc-0ed98dd5b446"


@pytest.mark.parametrize(
    ("version", "own", "agents", "metas"),
    [("1.0.128", 1, 0, 0), ("2.0.76", 1, 27, 0), ("2.1.80", 1, 1, 1), ("2.1.330", 4, 5, 5)],
)
def test_real_layouts_are_found(version: str, own: int, agents: int, metas: int) -> None:
    """Every transcript once, the conversation's own, its agents' and the small files beside those."""
    found = list(layout.walk(TRANSCRIPTS / version))
    kinds = Counter((one.agent == MAIN, one.is_meta) for one in found)
    assert (kinds[True, False], kinds[False, False], kinds[False, True]) == (own, agents, metas)
    files = [path for path in (TRANSCRIPTS / version).rglob("*.json*") if path.is_file()]
    assert sorted(one.path for one in found) == sorted(files)


def test_agents_follow_their_conversation() -> None:
    """Its own file comes first, so that what they belong to is known."""
    found = list(layout.walk(TRANSCRIPTS / "2.1.330"))
    known: set[str] = set()
    for one in found:
        assert one.native_id is not None
        assert one.agent == MAIN or one.native_id in known
        known.add(one.native_id)


@pytest.mark.parametrize(
    ("name", "native_id", "agent"),
    [
        (f"-home-dev/{ID}.jsonl", ID, MAIN),
        (f"-home-dev/{ID}/subagents/agent-a1.jsonl", ID, "a1"),
        (f"-home-dev/{ID}/subagents/workflows/w1/agent-a1.jsonl", ID, "a1"),
        ("-home-dev/agent-a01b776.jsonl", None, "a01b776"),
    ],
)
def test_a_path_says_what_it_is(name: str, native_id: str | None, agent: str) -> None:
    """The same for a walk and for an event of a watcher."""
    found = layout.classify(Path("/c/projects") / name, Path("/c/projects"))
    assert found is not None
    assert (found.native_id, found.agent, found.is_meta) == (native_id, agent, False)


@pytest.mark.parametrize(
    "name",
    [
        f"-home-dev/{ID}.json",
        f"-home-dev/{ID}/tool-results/out.jsonl",
        f"-home-dev/{ID}/subagents/journal.jsonl",
        f"-home-dev/{ID}/subagents/other.meta.json",
        "-home-dev/memory/notes.jsonl",
        "-home-dev/x.jsonl",
        f"{ID}.jsonl",
        f"../{ID}.jsonl",
        "-home-dev/a\nb-0123456789.jsonl",
    ],
)
def test_what_is_no_transcript_is_left_alone(name: str) -> None:
    """Notes, results, and whatever else lies there."""
    assert layout.classify(Path("/c/projects") / name, Path("/c/projects")) is None


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Neither to a file nor to a folder, nor in a circle."""
    folder = tmp_path / "projects" / "-home-dev"
    folder.mkdir(parents=True)
    (tmp_path / f"{ID}.jsonl").write_text("{}\n")
    (folder / f"{ID}.jsonl").symlink_to(tmp_path / f"{ID}.jsonl")
    (folder / "again").symlink_to(folder)
    (tmp_path / "projects" / "other").symlink_to(folder)
    assert list(layout.walk(tmp_path / "projects")) == []
    assert list(layout.walk(tmp_path / "nowhere")) == []


@pytest.mark.parametrize(
    ("cwd", "started"),
    [
        ("/home/dev/code/demo", "/home/dev/code/demo"),
        ("/home/dev/code/demo/sub/deep", "/home/dev/code/demo"),
        ("/home/dev/code/demo.old", None),
        ("/tmp", None),
        (None, None),
    ],
)
def test_where_a_conversation_was_started(cwd: str | None, started: str | None) -> None:
    """The folder's name tells which of the folders above the present one it was."""
    assert layout.started_in(f"/home/dev/.claude/projects/-home-dev-code-demo/{ID}.jsonl", cwd) == started


def test_a_long_folders_name_is_cut() -> None:
    """The beginning counts then."""
    cwd = "/home/" + "x" * 300
    transcript = f"/c/projects/{layout.slug_of(cwd)[:200]}-1a2b3c/{ID}.jsonl"
    assert layout.started_in(transcript, f"{cwd}/below") == f"{cwd}/below"
