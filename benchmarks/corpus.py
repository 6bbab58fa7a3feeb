"""Session documents of realistic size, made by code."""

import os
from pathlib import Path
from typing import Any

import orjson


def name(number: int) -> str:
    """Return the name of a session's folder."""
    return f"2026-01-01_session-{number:06d}"


def document(number: int, *, step: int = 0) -> dict[str, Any]:
    """Return a document of about 17 KB with 16 child rows: 8 checkpoints, 4 commits, 4 decisions."""
    return {
        "session_id": name(number),
        "topic": f"Session number {number}, step {step}",
        "description": "A session made for measuring.",
        "session_type": "full",
        "created_at": "2026-01-01T09:00:00Z",
        "updated_at": "2026-01-02T09:00:00Z",
        "current_phase": ("spec", "plan", "build", "docs")[number % 4],
        "status": "active",
        "phase_history": {"spec_started_at": "2026-01-01T09:00:00Z"},
        "build_progress": {
            "checkpoints_total": 8,
            "checkpoints_completed": list(range(1, number % 8)),
            "current_checkpoint": number % 8 or None,
        },
        "git": {"branch": "main", "worktree": None, "base_branch": "main"},
        "commits": [
            {
                "sha": f"{number * 4 + index:040x}",
                "message": f"Commit {index}",
                "checkpoint": index + 1,
                "created_at": f"2026-01-01T1{index}:00:00Z",
            }
            for index in range(4)
        ],
        "key_decisions": [
            {"decision": f"Decision {index}", "rationale": "Because it measures well.", "date": "2026-01-01"}
            for index in range(4)
        ],
        "notes": [f"{line:04d} " + "lorem ipsum dolor sit amet " * 5 for line in range(112)],
    }


def encoded(tree: dict[str, Any]) -> bytes:
    """Return a document as a file holds it."""
    return orjson.dumps(tree, option=orjson.OPT_INDENT_2)


def replace(path: Path, content: bytes) -> None:
    """Replace a file as StateManager does, without its fsync: what comes after the rename is measured."""
    temporary = path.with_name(".bench.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def memory() -> str | None:
    """Return a folder in memory, for trees that are to be written at full speed; None for the usual one.

    A disk's file system may write a file out when a rename puts it in another's place, and measures itself.
    """
    folder = Path("/dev/shm")
    return str(folder) if folder.is_dir() and os.access(folder, os.W_OK) else None


def make_sessions(project: Path, count: int, *, start: int = 0) -> list[Path]:
    """Write so many sessions into a project; return their folders."""
    folders = []
    for number in range(start, start + count):
        folder = project / "agents" / "sessions" / name(number)
        folder.mkdir(parents=True)
        (folder / "state.json").write_bytes(encoded(document(number)))
        folders.append(folder)
    return folders
