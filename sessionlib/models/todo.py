"""Todos: what agents have noted to do in their own lists."""

from uuid import UUID

from sessionlib.models.base import Model, UtcDatetime


class TodoSummary(Model):
    """One item; `conversation_status` tells whether anybody may still work on it."""

    project_slug: str
    conversation_id: UUID
    conversation: str
    conversation_status: str
    todo_key: str
    content: str | None
    details: str | None
    status: str | None
    sessions: list[str]
    created_at: UtcDatetime
    updated_at: UtcDatetime
