"""Edits that add to a session's lists, or set its details; each is safe to repeat."""

import enum
import re
from typing import Any, Final

from sessionlib.models.base import Status
from sessionlib.state.draft import Draft


class Keep(enum.Enum):
    """The type of `KEEP`."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP
"""The default of details that are set together: "leave this one as it is", where None means "clear it"."""

_SHA = re.compile(r"[0-9a-fA-F]{7,64}")


def add_commit(draft: Draft, sha: str, message: str, checkpoint: int | None) -> None:
    """Add a commit, or update the one whose sha is the same or an abbreviation of the same.

    Raises:
        StateRefusedError: The sha is none, or there is no such checkpoint.
    """
    if not _is_sha(sha):
        problem = f"{sha!r} is no commit id: 7 to 64 hexadecimal digits are"
        raise draft.refuse(problem)
    message = draft.optional("message", message) or ""
    _check_checkpoint(draft, checkpoint)
    commits = draft.listing("commits")
    known = next((entry for entry in commits if _is_commit(entry, sha)), None)
    if known is None:
        key = _checkpoint_key(draft, commits)
        commits.append({"sha": sha, "message": message, key: checkpoint, "created_at": draft.now})
        return
    if len(sha) > len(known["sha"]):
        known["sha"] = sha
    known["message"] = message
    if checkpoint is not None:
        present = [key for key in ("checkpoint", "checkpoint_id") if key in known]
        for key in present or [_checkpoint_key(draft, commits)]:
            known[key] = checkpoint


def _check_checkpoint(draft: Draft, checkpoint: object) -> None:
    if checkpoint is None:
        return
    total = draft.content.checkpoints_total
    if not isinstance(checkpoint, int) or isinstance(checkpoint, bool) or checkpoint < 1:
        message = f"{checkpoint!r} is no checkpoint"
        raise draft.refuse(message)
    if total and checkpoint > total:
        message = f"there is no checkpoint {checkpoint}; they are 1 to {total}"
        raise draft.refuse(message)


def _is_sha(value: object) -> bool:
    return isinstance(value, str) and _SHA.fullmatch(value) is not None


def _is_commit(entry: object, sha: str) -> bool:
    own = entry.get("sha") if isinstance(entry, dict) else None
    if not isinstance(own, str) or not _is_sha(own):
        return False
    length = min(len(own), len(sha))
    return own[:length].lower() == sha[:length].lower()


def _checkpoint_key(draft: Draft, commits: list[Any]) -> str:
    """Name the key this document's commits use; v1 had another one."""
    keys = {key for entry in commits if isinstance(entry, dict) for key in entry}
    if "checkpoint" in keys:
        return "checkpoint"
    older = "checkpoint_id" in keys or draft.content.generation == "v1"
    return "checkpoint_id" if older else "checkpoint"


def add_decision(draft: Draft, title: str, rationale: str | None, source: str | None) -> None:
    """Add a decision, unless the same one with the same reason is there."""
    title = draft.text("title", title)
    rationale = draft.optional("rationale", rationale)
    if any((known.title, known.rationale) == (title, rationale) for known in draft.content.decisions):
        return
    # v2 knows no list of decisions; hybrids and v1 go on with the one they have.
    key = "decisions" if draft.content.generation == "v2" else "key_decisions"
    decisions = draft.listing(key)
    last = next((entry for entry in reversed(decisions) if isinstance(entry, dict)), {})
    words = "decision" if "decision" in last or (key == "key_decisions" and "title" not in last) else "title"
    entry = {words: title, "rationale": rationale, "made_at" if "made_at" in last else "date": draft.now}
    if source is not None:
        entry["source"] = draft.text("source", source)
    decisions.append(entry)


def add_doc_update(draft: Draft, kind: str, path: str | None, description: str | None) -> None:
    """Add a change to the documentation, unless the same one is there."""
    kind = draft.text("kind", kind)
    path, description = draft.optional("path", path), draft.optional("description", description)
    wanted = (kind, path, description)
    if any((known.kind, known.path, known.description) == wanted for known in draft.content.doc_updates):
        return
    entry = {"type": kind, "path": path, "description": description, "created_at": draft.now}
    draft.listing("doc_updates").append({key: value for key, value in entry.items() if value is not None})


def link_conversation(
    draft: Draft, client: str, native_id: str, agent_native_id: str | None, source: str | None
) -> None:
    """Say that a conversation works on this session from now on, unless it is said already."""
    client, native_id = draft.text("client", client), draft.text("native_id", native_id)
    agent = draft.optional("agent_native_id", agent_native_id)
    if any(
        (known.client, known.native_id, known.agent_native_id) == (client, native_id, agent)
        for known in draft.content.links
    ):
        return
    entry = {
        "client": client,
        "native_id": native_id,
        "agent_native_id": agent,
        "linked_at": draft.now,
        "source": draft.optional("source", source),
    }
    listed = draft.listing("conversations")
    listed.append({key: value for key, value in entry.items() if value is not None})


def set_status(draft: Draft, status: str) -> None:
    """Set the status.

    Raises:
        StateRefusedError: There is no such status.
    """
    if status not in list(Status):
        message = f"there is no status {status!r}"
        raise draft.refuse(message, f"choose one of: {', '.join(Status)}")
    draft.document["status"] = str(status)


def set_git(draft: Draft, values: dict[str, str | Keep | None]) -> None:
    """Set or clear (None) some of branch, worktree and base_branch."""
    wanted = {key: draft.optional(key, value) for key, value in values.items() if value is not KEEP}
    if wanted:
        draft.section("git").update(wanted)


def set_details(
    draft: Draft,
    topic: str | Keep,
    description: str | Keep | None,
    prior_session: str | Keep | None,
) -> None:
    """Set topic, description and prior session; all but the topic can be cleared with None."""
    if topic is not KEEP:
        draft.document["topic"] = draft.text("topic", topic)
    if description is not KEEP:
        draft.document["description"] = draft.optional("description", description)
    if prior_session is not KEEP:
        draft.document["prior_session"] = draft.optional("prior_session", prior_session)
