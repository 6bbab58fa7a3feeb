"""Session folders, projects and repositories for tests: sensible defaults, override what the test is about.

The documents have the shapes of the generations seen in the wild, their words are made up. `GENERATIONS`
names all fifteen: fourteen session documents and one research run.
"""

import copy
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

Document = dict[str, Any]

T0 = "2026-01-05T09:00:00Z"
"""The moment most synthetic documents begin at."""


def at(hours: int) -> str:
    """Return a time some hours (0 to 500) after `T0`, as documents write it."""
    day, hour = divmod(9 + hours, 24)
    return f"2026-01-{5 + day:02d}T{hour:02d}:00:00Z"


def _made(base: Document, overrides: Mapping[str, Any]) -> Document:
    document = copy.deepcopy(base)
    document.update(copy.deepcopy(dict(overrides)))
    return document


# --- documents -----------------------------------------------------------------------------------


def make_commits(count: int, key: str = "checkpoint") -> list[Document]:
    """Return commits, one for each checkpoint from 1; `key` names the checkpoint's key."""
    return [
        {
            "sha": f"{number:07x}",
            "message": f"feat: lay brick {number}",
            key: number,
            "created_at": at(10 + number),
        }
        for number in range(1, count + 1)
    ]


def make_decisions(count: int, *keys: str) -> list[Document]:
    """Return decisions with these keys (title or decision, rationale, a time key, source, implications)."""
    values: dict[str, Callable[[int], Any]] = {
        "decision": lambda n: f"use brick {n}",
        "title": lambda n: f"use brick {n}",
        "rationale": lambda n: f"it is {n} times as strong",
        "date": lambda _: "2026-01-06",
        "made_at": at,
        "source": lambda _: "review",
        "implications": lambda _: ["thicker walls"],
    }
    return [{key: values[key](number) for key in keys} for number in range(1, count + 1)]


def v2(**overrides: Any) -> Document:
    """A pure v2 document, as the template gives it."""
    return _made(
        {
            "$schema": "state manifest, second edition",
            "session_id": "2026-01-05_garden-wall_aaa111",
            "topic": "Garden wall",
            "description": "Build a wall around the garden.",
            "session_type": "full",
            "created_at": T0,
            "updated_at": at(1),
            "current_phase": "spec",
            "status": "active",
            "phase_history": {
                "spec_started_at": T0,
                "spec_completed_at": None,
                "plan_started_at": None,
                "plan_completed_at": None,
                "build_started_at": None,
                "build_completed_at": None,
                "docs_started_at": None,
                "docs_completed_at": None,
            },
            "build_progress": {
                "checkpoints_total": None,
                "checkpoints_completed": [],
                "current_checkpoint": None,
            },
            "git": {"branch": None, "worktree": None, "base_branch": None},
            "commits": [],
            "artifacts": {"spec": "spec.md", "plan": "plan.json", "plan_readable": "plan.md"},
        },
        overrides,
    )


def v2_building(total: int = 4, completed: Iterable[int] = (1, 2), **overrides: Any) -> Document:
    """A v2 document in the middle of its build."""
    done = list(completed)
    document = v2(
        current_phase="build",
        build_progress={
            "checkpoints_total": total,
            "checkpoints_completed": done,
            "current_checkpoint": next((n for n in range(1, total + 1) if n not in done), None),
        },
        git={"branch": "wall", "worktree": None, "base_branch": "main"},
        commits=make_commits(len(done)),
    )
    document["phase_history"].update(
        spec_completed_at=at(2), plan_started_at=at(2), plan_completed_at=at(4), build_started_at=at(4)
    )
    return _made(document, overrides)


def v2_granularity(**overrides: Any) -> Document:
    """A v2 document as a web form writes it: one foreign key, microseconds, a declared total of 0."""
    return _made(
        v2(),
        {
            "granularity": "feature",
            "created_at": "2026-01-21T17:30:28.566903+00:00",
            "updated_at": "2026-01-21T17:30:28.566903+00:00",
            "build_progress": {
                "checkpoints_total": 0,
                "checkpoints_completed": [],
                "current_checkpoint": None,
            },
            **overrides,
        },
    )


def v1_0(**overrides: Any) -> Document:
    """The oldest shape: no plan state, many decisions, older than its own phases."""
    return _made(
        {
            "session_id": "2025-12-24_pond_bbb222",
            "topic": "Pond",
            "description": "Dig a pond.",
            "granularity": "feature",
            "created_at": T0,
            "updated_at": at(1),
            "current_phase": "spec",
            "phases": {
                "spec": {
                    "status": "finalized",
                    "started_at": T0,
                    "finalized_at": at(5),
                    "_status_values": ["draft", "finalized"],
                    "_status_notes": {"draft": "being written"},
                },
                "plan": {"status": "not_started", "started_at": None, "finalized_at": None},
                "build": {"status": "not_started", "started_at": None, "completed_at": None},
            },
            "goals": {"high_level": ["water"], "mid_level": ["a hole"], "low_level": ["a spade"]},
            "open_questions": ["How deep?"],
            "key_decisions": make_decisions(18, "decision", "rationale", "date"),
        },
        overrides,
    )


def v1_0_bare(**overrides: Any) -> Document:
    """The oldest shape with a null description and an example among its decisions."""
    decisions = [{"_example": {"decision": "…"}}, *make_decisions(2, "decision", "rationale")]
    return v1_0(**{"description": None, "key_decisions": decisions, **overrides})


def v1_1(**overrides: Any) -> Document:
    """The shape with tranches: complete, four done, and the total only in plan.json (`plan_tranches`)."""
    return v1_0(
        **{
            "current_phase": "complete",
            "phases": _v1_phases("finalized", "completed"),
            "plan_state": {
                "status": "completed",
                "checkpoints_completed": [1, 2, 3, 4],
                "current_tranche": None,
                "current_task": None,
                "last_updated": at(20),
            },
            "key_decisions": make_decisions(3, "decision", "rationale", "source"),
            **overrides,
        }
    )


def _v1_phases(plan: str, build: str | None, **build_more: Any) -> Document:
    return {
        "spec": {"status": "finalized", "started_at": T0, "finalized_at": at(5)},
        "plan": {"status": plan, "started_at": at(5), "finalized_at": at(8) if plan == "finalized" else None},
        "build": {
            "status": build,
            "started_at": at(8),
            "completed_at": at(20) if build in {"complete", "completed"} else None,
            **build_more,
        },
    }


def _plan_state(total: int, completed: int, **more: Any) -> Document:
    return {
        "status": "in_progress",
        "checkpoints_total": total,
        "checkpoints_detailed": list(range(1, total + 1)),
        "checkpoints_completed": list(range(1, completed + 1)),
        "current_checkpoint": None if completed >= total else completed + 1,
        "current_task_group": None,
        "current_task": None,
        "last_updated": at(18),
        "summary": "Laying bricks.",
        **more,
    }


def v1_2_undated(**overrides: Any) -> Document:
    """A v1.2 document without ``updated_at`` and goals, with a prior session."""
    document = v1_0(
        current_phase="build",
        phases=_v1_phases("finalized", "in_progress"),
        plan_state=_plan_state(5, 5),
        prior_session="2025-12-24_pond_bbb222",
        parent_session=None,
    )
    del document["updated_at"], document["goals"]
    return _made(document, overrides)


def v1_2_contradicting(**overrides: Any) -> Document:
    """A v1.2 document whose phases name a current checkpoint although all are done."""
    return v1_0(
        **{
            "current_phase": "build",
            "phases": _v1_phases("finalized", "in_progress", current_checkpoint=2),
            "plan_state": _plan_state(5, 5),
            "doc_updates": [{"type": "none", "description": "nothing to say", "created_at": at(19)}],
            **overrides,
        }
    )


def v1_2_finished(**overrides: Any) -> Document:
    """A v1.2 document whose build is complete although its current phase says build."""
    return v1_0(
        **{
            "current_phase": "build",
            "phases": _v1_phases("finalized", "complete"),
            "plan_state": _plan_state(4, 4, status="complete"),
            "key_decisions": make_decisions(2, "decision", "rationale", "made_at"),
            **overrides,
        }
    )


def v1_3(**overrides: Any) -> Document:
    """A v1.3 document with commits: its id is not its folder's name, its build is done in phase plan."""
    return v1_0(
        **{
            "session_id": "2026-01-12_renamed-since_ccc333",
            "current_phase": "plan",
            "phases": _v1_phases("finalized", "completed"),
            "plan_state": _plan_state(6, 6),
            "commits": make_commits(6, "checkpoint_id"),
            "research_artifacts": [{"path": "research/soil", "description": "about soil"}],
            "doc_updates": [
                {"type": "L2", "path": "docs/wall.md", "description": "the wall", "created_at": at(19)}
            ],
            "prior_session": None,
            "parent_session": None,
            **overrides,
        }
    )


def v1_3_research(**overrides: Any) -> Document:
    """A v1.3 research document: plan state null, only the spec phase."""
    return v1_0(
        **{
            "session_id": "research_soil_20260128_124500",
            "granularity": "research",
            "phases": {"spec": {"status": "draft", "started_at": T0, "finalized_at": None}},
            "plan_state": None,
            "commits": [],
            "research_artifacts": [
                {
                    "research_id": "soil_20260128",
                    "research_plan_path": "research/soil_20260128/research-plan.md",
                    "report_path": "research/soil_20260128/report.md",
                    "phase": "spec",
                    "triggered_by": "user",
                    "complexity_tier": "medium",
                    "total_subagents": 4,
                    "iterations": 2,
                    "success_criteria_met": "4 of 5",
                    "created_at": at(3),
                }
            ],
            **overrides,
        }
    )


def v1_4(**overrides: Any) -> Document:
    """A v1.4 document: ``$schema``, an empty description, five of five in phase plan."""
    return v1_3(
        **{
            "$schema": "state schema",
            "description": "",
            "plan_state": _plan_state(5, 5),
            "commits": make_commits(5, "checkpoint_id"),
            "key_decisions": make_decisions(2, "title", "rationale", "date"),
            **overrides,
        }
    )


def v1_4_unsteady(**overrides: Any) -> Document:
    """A v1.4 document with a null build status and commit times that go back and forth."""
    commits = make_commits(7, "checkpoint_id")
    commits[2]["created_at"], commits[5]["created_at"] = commits[5]["created_at"], commits[2]["created_at"]
    return v1_4(
        **{
            "phases": _v1_phases("finalized", None),
            "plan_state": _plan_state(7, 7),
            "commits": commits,
            **overrides,
        }
    )


def hybrid(**overrides: Any) -> Document:
    """A v2 document with a plan state beside its progress, older than its last commit."""
    return _made(
        v2_building(4, (1, 2, 3, 4), plan_state=_plan_state(4, 2), prior_session="2026-01-12_before_ddd444"),
        overrides,
    )


def hybrid_21_keys(**overrides: Any) -> Document:
    """A v2 document with seven v1 keys bolted on; its commits use the older key, its docs are done."""
    document = v2_building(
        5,
        (1, 2, 3, 4, 5),
        current_phase="docs",
        commits=make_commits(5, "checkpoint_id"),
        goals={"high_level": ["shade"]},
        open_questions=[],
        key_decisions=make_decisions(3, "title", "rationale", "date"),
        research_artifacts=[],
        doc_updates=[{"type": "L3", "path": "docs/w.md", "description": "w", "created_at": at(30)}],
        prior_session=None,
        parent_session=None,
    )
    document["phase_history"].update(
        build_completed_at=at(28), docs_started_at=at(28), docs_completed_at=at(31)
    )
    return _made(document, overrides)


def research_run(**overrides: Any) -> Document:
    """The state of a research run, which has no session id, topic or ``updated_at``."""
    return _made(
        {
            "id": "soil_20260128",
            "request": "What soil carries a wall?",
            "report_style": "cookbook",
            "status": "complete",
            "phase": None,
            "triggered_by": None,
            "research_plan": {
                "file": "research-plan.md",
                "created_at": at(1),
                "success_criteria": [
                    {"id": "SC1", "description": "names three soils", "met": True},
                    {"id": "SC2", "description": "says why", "met": False},
                ],
            },
            "complexity_tier": "simple",
            "total_subagents_spawned": 2,
            "subtasks": [{"id": "T1", "objective": "look", "boundaries": "clay only", "status": "done"}],
            "iterations": [],
            "execution_trace": {"criteria_completion": {"met": 3, "total": 4}},
            "created_at": T0,
            "completed_at": at(6),
        },
        overrides,
    )


def plan(count: int = 4, key: str = "checkpoints", **overrides: Any) -> Document:
    """A plan.json with titled checkpoints, all of them "pending" as they always are."""
    items = [
        {"id": number, "title": f"Course {number}", "status": "pending", "task_groups": []}
        for number in range(1, count + 1)
    ]
    return _made({"session_id": "any", key: items}, overrides)


def plan_tranches(count: int = 4) -> Document:
    """An older plan.json, which calls its checkpoints tranches."""
    return plan(count, "tranches")


SESSIONS: dict[str, Callable[..., Document]] = {
    "v1.0": v1_0,
    "v1.0-bare": v1_0_bare,
    "v1.1": v1_1,
    "v1.2-undated": v1_2_undated,
    "v1.2-contradicting": v1_2_contradicting,
    "v1.2-finished": v1_2_finished,
    "v1.3": v1_3,
    "v1.3-research": v1_3_research,
    "v1.4": v1_4,
    "v1.4-unsteady": v1_4_unsteady,
    "v2": v2,
    "v2-granularity": v2_granularity,
    "v2-hybrid": hybrid,
    "v2-hybrid-21": hybrid_21_keys,
}
"""The fourteen shapes of a session's document, by generation."""

GENERATIONS: dict[str, Callable[..., Document]] = {**SESSIONS, "research-run": research_run}
"""All fifteen shapes of a ``state.json``."""


# --- files ---------------------------------------------------------------------------------------


def write_json(path: Path, document: Document | bytes | str) -> Path:
    """Write a document as agents do: a temp file, renamed into place; bytes and text as they are."""
    if isinstance(document, bytes):
        data = document
    elif isinstance(document, str):
        data = document.encode()
    else:
        data = (json.dumps(document, indent=2) + "\n").encode()
    temp = path.with_name(f".{path.name}.{uuid.uuid4().hex}.new")
    temp.write_bytes(data)
    temp.replace(path)
    return path


def make_session(
    root: Path,
    slug: str,
    document: Document | bytes | None = None,
    plan: Document | bytes | None = None,
    research: Mapping[str, Document | bytes] | None = None,
) -> Path:
    """Make a session folder in a sessions root and return it; the document is a v2 one by default.

    Plan and research come first and state.json last, so that a watcher never sees half of it.
    """
    session_dir = Path(root) / slug
    session_dir.mkdir(parents=True, exist_ok=True)
    if plan is not None:
        write_json(session_dir / "plan.json", plan)
    for research_id, run in (research or {}).items():
        folder = session_dir / "research" / research_id
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "state.json", run)
    write_json(session_dir / "state.json", v2(session_id=slug) if document is None else document)
    return session_dir


def make_project(
    path: Path,
    sessions: Mapping[str, Document | bytes | None] | Iterable[str] = (),
    root: str = "agents/sessions",
) -> Path:
    """Make a project with a sessions root and these sessions (by slug; None is a v2 document)."""
    sessions_root = Path(path) / root
    sessions_root.mkdir(parents=True, exist_ok=True)
    documents = dict(sessions) if isinstance(sessions, Mapping) else dict.fromkeys(sessions)
    for slug, document in documents.items():
        make_session(sessions_root, slug, document)
    return Path(path)


# --- repositories --------------------------------------------------------------------------------


def make_git_dir(git_dir: Path, remote: str | None = None, *, bare: bool = False) -> Path:
    """Write the plain files of a repository's git folder, without running git."""
    for name in ("objects", "refs/heads"):
        (git_dir / name).mkdir(parents=True, exist_ok=True)
    (git_dir / "HEAD").write_text("ref: refs/heads/main\n")
    config = f"[core]\n\trepositoryformatversion = 0\n\tbare = {str(bare).lower()}\n"
    if remote is not None:
        config += f'[remote "origin"]\n\turl = {remote}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
    (git_dir / "config").write_text(config)
    return git_dir


def make_git_repo(path: Path, remote: str | None = None) -> Path:
    """Make a repository with a working folder and return the working folder."""
    path.mkdir(parents=True, exist_ok=True)
    make_git_dir(path / ".git", remote)
    return path


def make_worktree(main: Path, path: Path) -> Path:
    """Make an additional worktree of a repository (or of a bare one) and return its folder."""
    common = main / ".git" if (main / ".git").is_dir() else main
    git_dir = common / "worktrees" / path.name
    git_dir.mkdir(parents=True)
    path.mkdir(parents=True, exist_ok=True)
    (git_dir / "HEAD").write_text(f"ref: refs/heads/{path.name}\n")
    (git_dir / "commondir").write_text("../..\n")
    (git_dir / "gitdir").write_text(f"{path / '.git'}\n")
    (path / ".git").write_text(f"gitdir: {git_dir.absolute()}\n")
    return path
