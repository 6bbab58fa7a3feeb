"""The bare script that imports are measured against makes the very rows that an import makes."""

from pathlib import Path
from typing import Any

from benchmarks import bare_import, corpus
from sessionlib.db import tables
from tests import mirrors
from tests.mirrors import World

UNLIKE = {"parts"}
"""Digests that only a later sync compares."""


def kept(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows, without what depends on the moment."""
    return {
        name: [
            tuple(
                row[c.name]
                for c in tables.metadata.tables[name].columns
                if c.name not in UNLIKE and (c.info["kind"] != "observed" or c.name == "at")
            )
            for row in world.rows(name)
        ]
        for name in bare_import.TABLES
    }


def test_the_bare_script_makes_the_same_rows(world: World, tmp_path: Path) -> None:
    """Table by table the rows of both are equal, so that only the way there is compared."""
    folders = corpus.make_sessions(tmp_path / "project", 9)
    url = world.database.url.render_as_string(hide_password=False).replace("+psycopg", "")
    kind = "postgres" if world.database.is_postgres else "sqlite"
    assert bare_import.load(kind, url, folders) > 0
    bare = kept(world)
    mirrors.empty(world.database)
    ours = world.restarted()
    ours.sync(*folders)
    assert kept(ours) == bare
    assert sum(len(rows) for rows in bare.values()) == 9 * (4 + 16)
