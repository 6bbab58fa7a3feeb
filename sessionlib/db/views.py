"""SQL views for people and other tools; the same columns on SQLite and PostgreSQL.

``session_documents``: every session with its whole document. ``session_goals`` (level, position, goal) and
``session_open_questions`` (position, question): lists that stay in the document, unfolded to rows.
"""

_DOCUMENTS = """
CREATE VIEW session_documents AS
SELECT s.project_id, s.session_id, p.slug AS project, s.root, s.slug,
       d.content_hash, d.size, d.body AS document
FROM sessions AS s
JOIN projects AS p ON p.project_id = s.project_id
JOIN documents AS d ON d.project_id = s.project_id AND d.content_hash = s.content_hash
"""

_GOALS_POSTGRES = """
CREATE VIEW session_goals AS
SELECT v.project_id, v.session_id, g.key AS level, (e.ordinality - 1)::integer AS position,
       e.value #>> '{}' AS goal
FROM session_documents AS v
CROSS JOIN LATERAL jsonb_each(
  CASE jsonb_typeof(v.document -> 'goals') WHEN 'object' THEN v.document -> 'goals' ELSE '{}'::jsonb END
) AS g
CROSS JOIN LATERAL jsonb_array_elements(
  CASE jsonb_typeof(g.value) WHEN 'array' THEN g.value ELSE '[]'::jsonb END
) WITH ORDINALITY AS e
WHERE jsonb_typeof(e.value) = 'string'
"""

_GOALS_SQLITE = """
CREATE VIEW session_goals AS
SELECT v.project_id, v.session_id, g.key AS level, e.key AS position, e.value AS goal
FROM session_documents AS v
JOIN json_each(v.document, '$.goals') AS g
JOIN json_each(CASE g.type WHEN 'array' THEN g.value ELSE '[]' END) AS e
WHERE json_type(v.document, '$.goals') = 'object' AND e.type = 'text'
"""

_QUESTIONS_POSTGRES = """
CREATE VIEW session_open_questions AS
SELECT v.project_id, v.session_id, (e.ordinality - 1)::integer AS position, e.value #>> '{}' AS question
FROM session_documents AS v
CROSS JOIN LATERAL jsonb_array_elements(
  CASE jsonb_typeof(v.document -> 'open_questions')
    WHEN 'array' THEN v.document -> 'open_questions' ELSE '[]'::jsonb END
) WITH ORDINALITY AS e
WHERE jsonb_typeof(e.value) = 'string'
"""

_QUESTIONS_SQLITE = """
CREATE VIEW session_open_questions AS
SELECT v.project_id, v.session_id, e.key AS position, e.value AS question
FROM session_documents AS v
JOIN json_each(v.document, '$.open_questions') AS e
WHERE json_type(v.document, '$.open_questions') = 'array' AND e.type = 'text'
"""


def statements(dialect: str) -> tuple[str, ...]:
    """Return the CREATE VIEW statements for a dialect, in order."""
    if dialect == "postgresql":
        return (_DOCUMENTS, _GOALS_POSTGRES, _QUESTIONS_POSTGRES)
    return (_DOCUMENTS, _GOALS_SQLITE, _QUESTIONS_SQLITE)
