"""SQL views on what the agents did, for people and other tools; the same on SQLite and PostgreSQL.

Times are UTC, durations milliseconds, sizes bytes, money US dollars. ``project`` is a project's slug,
``conversation`` the id that the client gave a conversation, ``session`` the slug of the workflow session that
was worked on and ``phase`` where that stands now; both are NULL where no session is known. Truth values are 0
and 1 on SQLite. A NULL cost means that no price is known, never that it was free; ``unpriced`` says of how
many responses.

``mcp_usage``: a row for each call of a tool of an MCP server. ``session_id`` is the conversation (whose calls
they are), ``workflow_session_id`` the session; ``execution_time_ms`` and ``duration_ms`` are one number under
the two names that people look for. ``success`` is NULL while a call is open; one that failed, was denied or
interrupted has none, and ``outcome`` says which.

``agent_sessions``: a row for each spawned agent. ``session_id`` is its own run (the agent's id),
``parent_session_id`` the conversation in which it was spawned, ``parent_agent_id`` the agent that spawned it;
neither is ever NULL. ``task_description`` and ``task``, ``estimated_cost_usd`` and ``cost_usd`` are the same.

``failed_agents``: a row for each agent that failed, main ones too, with the session and its phase.

``project_costs``, ``session_costs``, ``phase_costs``: tokens and cost added up for each project, each
session, and each phase of a project's sessions (``phase`` is there the one in which they were spent; NULL
where no session is known). ``session_costs`` has no row for what belongs to no session.

``conversation_overview``: a row for each conversation, with who ran it, on which sessions it worked (slugs in
order, with commas), how many agents it had, how many of them failed, and what it cost.
"""

_MCP_USAGE = """
CREATE VIEW mcp_usage AS
SELECT k.tool_use_id AS usage_id, k.project_id, p.slug AS project,
       k.conversation_id AS session_id, c.native_id AS conversation, k.agent_id,
       s.session_id AS workflow_session_id, s.slug AS session, s.current_phase AS phase,
       k.server AS mcp_server, k.tool_name, k.called_at, k.ended_at,
       k.duration_ms AS execution_time_ms, k.duration_ms,
       CASE k.outcome WHEN 'open' THEN NULL ELSE k.outcome = 'ok' END AS success,
       k.outcome, k.error AS error_message,
       k.input_size AS input_size_bytes, k.output_size AS output_size_bytes
FROM tool_calls AS k
JOIN projects AS p ON p.project_id = k.project_id
JOIN conversations AS c ON c.project_id = k.project_id AND c.conversation_id = k.conversation_id
JOIN agents AS a ON a.project_id = k.project_id AND a.agent_id = k.agent_id
LEFT JOIN sessions AS s ON s.project_id = a.project_id AND s.session_id = a.session_id
WHERE k.server IS NOT NULL
"""

_AGENT_SESSIONS = """
CREATE VIEW agent_sessions AS
SELECT a.agent_id AS session_id, a.conversation_id AS parent_session_id, a.parent_agent_id,
       a.project_id, p.slug AS project, c.native_id AS conversation, a.agent_type,
       a.task AS task_description, a.task, a.model, a.status,
       CASE a.status WHEN 'running' THEN NULL ELSE a.status = 'complete' END AS success,
       a.error AS error_message, a.started_at AS spawned_at, a.ended_at AS completed_at,
       a.messages, a.input_tokens, a.output_tokens, a.cache_read_tokens, a.cache_write_tokens, a.unpriced,
       a.cost_usd AS estimated_cost_usd, a.cost_usd,
       s.session_id AS workflow_session_id, s.slug AS session, s.current_phase AS phase, a.checkpoint_number
FROM agents AS a
JOIN projects AS p ON p.project_id = a.project_id
JOIN conversations AS c ON c.project_id = a.project_id AND c.conversation_id = a.conversation_id
LEFT JOIN sessions AS s ON s.project_id = a.project_id AND s.session_id = a.session_id
WHERE a.kind = 'spawned'
"""

_FAILED_AGENTS = """
CREATE VIEW failed_agents AS
SELECT a.project_id, p.slug AS project, a.agent_id, a.conversation_id, c.native_id AS conversation,
       a.kind, a.agent_type, a.task, a.error, a.model, a.started_at, a.ended_at, a.cost_usd,
       s.session_id, s.slug AS session, s.current_phase AS phase, a.checkpoint_number
FROM agents AS a
JOIN projects AS p ON p.project_id = a.project_id
JOIN conversations AS c ON c.project_id = a.project_id AND c.conversation_id = a.conversation_id
LEFT JOIN sessions AS s ON s.project_id = a.project_id AND s.session_id = a.session_id
WHERE a.status = 'failed'
"""

_COUNTED = (
    "messages",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "unpriced",
)
_ADDED = ", ".join(
    # Sums of PostgreSQL are no integers, and those of SQLite no decimal numbers.
    [f"CAST(SUM(t.{name}) AS bigint) AS {name}" for name in _COUNTED]
    + ["ROUND(SUM(t.cost_usd), 9) AS cost_usd"]
)

_PROJECT_COSTS = f"""
CREATE VIEW project_costs AS
SELECT p.project_id, p.slug AS project, COUNT(DISTINCT t.conversation_id) AS conversations,
       COUNT(DISTINCT t.agent_id) AS agents, {_ADDED}
FROM usage_totals AS t
JOIN projects AS p ON p.project_id = t.project_id
GROUP BY p.project_id, p.slug
"""

_SESSION_COSTS = f"""
CREATE VIEW session_costs AS
SELECT s.project_id, p.slug AS project, s.session_id, s.slug AS session, s.current_phase AS phase,
       s.effective_status AS status, COUNT(DISTINCT t.conversation_id) AS conversations,
       COUNT(DISTINCT t.agent_id) AS agents, {_ADDED}
FROM usage_totals AS t
JOIN sessions AS s ON s.project_id = t.project_id AND s.session_id = {{session_id}}
JOIN projects AS p ON p.project_id = s.project_id
GROUP BY s.project_id, p.slug, s.session_id, s.slug, s.current_phase, s.effective_status
"""

_PHASE_COSTS = f"""
CREATE VIEW phase_costs AS
SELECT p.project_id, p.slug AS project, NULLIF(t.phase, '') AS phase,
       COUNT(DISTINCT NULLIF(t.session_key, '')) AS sessions,
       COUNT(DISTINCT t.conversation_id) AS conversations, {_ADDED}
FROM usage_totals AS t
JOIN projects AS p ON p.project_id = t.project_id
GROUP BY p.project_id, p.slug, t.phase
"""

_OVERVIEW = f"""
CREATE VIEW conversation_overview AS
SELECT c.project_id, p.slug AS project, c.conversation_id, c.client, c.native_id AS conversation, c.title,
       i.name AS identity, c.identity_source, h.name AS host, c.status, c.started_at, c.last_activity_at,
       c.ended_at, c.end_reason, c.end_estimated, c.model, c.git_branch, c.cwd,
       (SELECT {{joined}} FROM (
          SELECT DISTINCT s.slug FROM conversation_links AS l
          JOIN sessions AS s ON s.project_id = l.project_id AND s.session_id = l.session_id
          WHERE l.project_id = c.project_id AND l.conversation_id = c.conversation_id ORDER BY s.slug
        ) AS d) AS sessions,
       COALESCE(r.agents, 0) AS agents, COALESCE(r.agents_failed, 0) AS agents_failed,
       {", ".join(f"COALESCE(u.{name}, 0) AS {name}" for name in _COUNTED)}, u.cost_usd
FROM conversations AS c
JOIN projects AS p ON p.project_id = c.project_id
JOIN identities AS i ON i.identity_id = c.identity_id
JOIN hosts AS h ON h.host_id = c.host_id
LEFT JOIN (
  SELECT a.project_id, a.conversation_id, COUNT(*) AS agents,
         SUM(CASE WHEN a.status = 'failed' THEN 1 ELSE 0 END) AS agents_failed
  FROM agents AS a GROUP BY a.project_id, a.conversation_id
) AS r ON r.project_id = c.project_id AND r.conversation_id = c.conversation_id
LEFT JOIN (
  SELECT t.project_id, t.conversation_id, {_ADDED}
  FROM usage_totals AS t GROUP BY t.project_id, t.conversation_id
) AS u ON u.project_id = c.project_id AND u.conversation_id = c.conversation_id
"""

_WORDS = {
    "postgresql": {
        "session_id": "CAST(NULLIF(t.session_key, '') AS uuid)",
        "joined": "string_agg(d.slug, ', ' ORDER BY d.slug)",
    },
    "sqlite": {"session_id": "t.session_key", "joined": "group_concat(d.slug, ', ')"},
}

VIEWS = (
    "mcp_usage",
    "agent_sessions",
    "failed_agents",
    "project_costs",
    "session_costs",
    "phase_costs",
    "conversation_overview",
)
"""The names, in the order of the statements."""


def statements(dialect: str) -> tuple[str, ...]:
    """Return the CREATE VIEW statements for a dialect, in order."""
    words = _WORDS[dialect]
    return (
        _MCP_USAGE,
        _AGENT_SESSIONS,
        _FAILED_AGENTS,
        _PROJECT_COSTS,
        _SESSION_COSTS.format(**words),
        _PHASE_COSTS,
        _OVERVIEW.format(**words),
    )
