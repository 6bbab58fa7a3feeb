"""The vocabulary: pydantic models by domain, and no I/O."""

from typing import TYPE_CHECKING

from sessionlib.lazily import importer

if TYPE_CHECKING:
    from sessionlib.models.agent import (
        Agent,
        AgentCreate,
        AgentKind,
        AgentStatus,
        AgentSummary,
        AgentUpdate,
        ParentSource,
    )
    from sessionlib.models.agent_log import AgentLog, AgentLogCreate, AgentLogSummary, LogCategory
    from sessionlib.models.base import (
        NAMESPACE,
        Dollars,
        Model,
        Phase,
        SessionType,
        Status,
        UtcDatetime,
        derived_id,
        utc_now,
    )
    from sessionlib.models.conversation import ConversationStatus, ConversationSummary
    from sessionlib.models.identity import (
        FALLBACK_IDENTITY_ID,
        Identity,
        IdentityCreate,
        IdentityStatus,
        IdentitySummary,
        IdentityUpdate,
    )
    from sessionlib.models.project import (
        Project,
        ProjectAlias,
        ProjectCreate,
        ProjectStatus,
        ProjectSummary,
        ProjectUpdate,
    )
    from sessionlib.models.session import (
        Checkpoint,
        Commit,
        Decision,
        DocUpdate,
        ResearchRun,
        Session,
        SessionCreate,
        SessionDetail,
        SessionFile,
        SessionLink,
        SessionSummary,
        SessionUpdate,
        SessionVersion,
    )
    from sessionlib.models.timeline import Happening, TimelineEntry
    from sessionlib.models.todo import TodoSummary
    from sessionlib.models.tool_call import Outcome, ToolCall, ToolSummary
    from sessionlib.models.usage import CostSummary, UnpricedModel
    from sessionlib.models.workspace import (
        Workspace,
        WorkspaceCreate,
        WorkspaceSummary,
        WorkspaceUpdate,
    )

__all__ = [
    "FALLBACK_IDENTITY_ID",
    "NAMESPACE",
    "Agent",
    "AgentCreate",
    "AgentKind",
    "AgentLog",
    "AgentLogCreate",
    "AgentLogSummary",
    "AgentStatus",
    "AgentSummary",
    "AgentUpdate",
    "Checkpoint",
    "Commit",
    "ConversationStatus",
    "ConversationSummary",
    "CostSummary",
    "Decision",
    "DocUpdate",
    "Dollars",
    "Happening",
    "Identity",
    "IdentityCreate",
    "IdentityStatus",
    "IdentitySummary",
    "IdentityUpdate",
    "LogCategory",
    "Model",
    "Outcome",
    "ParentSource",
    "Phase",
    "Project",
    "ProjectAlias",
    "ProjectCreate",
    "ProjectStatus",
    "ProjectSummary",
    "ProjectUpdate",
    "ResearchRun",
    "Session",
    "SessionCreate",
    "SessionDetail",
    "SessionFile",
    "SessionLink",
    "SessionSummary",
    "SessionType",
    "SessionUpdate",
    "SessionVersion",
    "Status",
    "TimelineEntry",
    "TodoSummary",
    "ToolCall",
    "ToolSummary",
    "UnpricedModel",
    "UtcDatetime",
    "Workspace",
    "WorkspaceCreate",
    "WorkspaceSummary",
    "WorkspaceUpdate",
    "derived_id",
    "utc_now",
]

_HOMES = {
    "agent": (
        "Agent",
        "AgentCreate",
        "AgentKind",
        "AgentStatus",
        "AgentSummary",
        "AgentUpdate",
        "ParentSource",
    ),
    "agent_log": ("AgentLog", "AgentLogCreate", "AgentLogSummary", "LogCategory"),
    "base": (
        "NAMESPACE",
        "Dollars",
        "Model",
        "Phase",
        "SessionType",
        "Status",
        "UtcDatetime",
        "derived_id",
        "utc_now",
    ),
    "conversation": ("ConversationStatus", "ConversationSummary"),
    "identity": (
        "FALLBACK_IDENTITY_ID",
        "Identity",
        "IdentityCreate",
        "IdentityStatus",
        "IdentitySummary",
        "IdentityUpdate",
    ),
    "project": (
        "Project",
        "ProjectAlias",
        "ProjectCreate",
        "ProjectStatus",
        "ProjectSummary",
        "ProjectUpdate",
    ),
    "session": (
        "Checkpoint",
        "Commit",
        "Decision",
        "DocUpdate",
        "ResearchRun",
        "Session",
        "SessionCreate",
        "SessionDetail",
        "SessionFile",
        "SessionLink",
        "SessionSummary",
        "SessionUpdate",
        "SessionVersion",
    ),
    "timeline": ("Happening", "TimelineEntry"),
    "todo": ("TodoSummary",),
    "tool_call": ("Outcome", "ToolCall", "ToolSummary"),
    "usage": ("CostSummary", "UnpricedModel"),
    "workspace": ("Workspace", "WorkspaceCreate", "WorkspaceSummary", "WorkspaceUpdate"),
}
"""Which module each name comes from."""


if not TYPE_CHECKING:  # or every name that is not there would be one of type Any
    __getattr__ = importer(__name__, _HOMES)
