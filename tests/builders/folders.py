"""Session folders, projects and repositories on disk."""

import json
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.builders.parts import Document
from tests.builders.second import v2


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
