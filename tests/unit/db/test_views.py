"""The views give the same rows on both databases, whatever a document holds."""

from typing import Any

from sqlalchemy import text

from sessionlib.db.engine import Database
from tests import worlds

ODD: dict[str, tuple[Any, list[tuple[Any, ...]], list[tuple[Any, ...]]]] = {
    "plain": (
        {"goals": {"must": ["a", "b"], "may": ["c"]}, "open_questions": ["why?", "how?"]},
        [("may", 0, "c"), ("must", 0, "a"), ("must", 1, "b")],
        [(0, "why?"), (1, "how?")],
    ),
    "mixed": (
        {"goals": {"must": ["a", 1, None, {"b": 1}, ["c"], True, "d"]}, "open_questions": [{"q": 1}, "x", 2]},
        [("must", 0, "a"), ("must", 6, "d")],
        [(1, "x")],
    ),
    "goals-list": ({"goals": ["a"], "open_questions": {"0": "x"}}, [], []),
    "goals-text": ({"goals": "grow", "open_questions": "why?"}, [], []),
    "goals-null": ({"goals": None, "open_questions": None}, [], []),
    "goals-number": ({"goals": 7, "open_questions": False}, [], []),
    "level-text": (
        {"goals": {"must": "a", "may": {"x": ["y"]}, "can": None, "will": ["z"]}},
        [("will", 0, "z")],
        [],
    ),
    "empty": ({"goals": {}, "open_questions": []}, [], []),
    "none": ({}, [], []),
    "strange": (
        {
            "goals": {"": [""], 'k"e.y$[0]': ["ü 'q' \"d\" \\ \n"]},
            "open_questions": ["", "[1]", "null", "漢"],
        },
        [("", 0, ""), ('k"e.y$[0]', 0, "ü 'q' \"d\" \\ \n")],
        [(0, ""), (1, "[1]"), (2, "null"), (3, "漢")],
    ),
}


def test_goals_and_questions(database: Database) -> None:
    """Strings in the right places become rows; everything else is passed over, never an error."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        rows = [worlds.session(place, slug) for slug in ODD]
        worlds.write_sessions(connection, rows, bodies={slug: odd[0] for slug, odd in ODD.items()})
        for row in rows:
            which = {"id": str(row.session_id)}
            goals = connection.execute(
                text(
                    "SELECT level, position, goal FROM session_goals "
                    "WHERE CAST(session_id AS text) = :id ORDER BY 1, 2"
                ),
                which,
            ).all()
            questions = connection.execute(
                text(
                    "SELECT position, question FROM session_open_questions "
                    "WHERE CAST(session_id AS text) = :id ORDER BY 1"
                ),
                which,
            ).all()
            assert sorted(goals) == ODD[row.slug][1], row.slug
            assert questions == ODD[row.slug][2], row.slug


def test_documents(database: Database) -> None:
    """Every session is shown with its project and its whole document."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        row = worlds.session(place, "wall")
        worlds.write_sessions(connection, [row], bodies={"wall": {"topic": "Wall", "extra": [1]}})
        found = connection.execute(
            text("SELECT project, root, slug, content_hash, size FROM session_documents")
        )
        assert found.all() == [("garden", worlds.ROOT, "wall", row.content_hash, 28)]
        topic = {
            "postgresql": "document ->> 'topic'",
            "sqlite": "json_extract(document, '$.topic')",
        }[connection.dialect.name]
        assert connection.scalar(text(f"SELECT {topic} FROM session_documents")) == "Wall"
