"""`sessionctl db`, and what reading does without a database."""

import pytest

from sessionlib.db import schema
from sessionlib.db.engine import Database
from tests import builders
from tests.ctl import Ctl, bare_ctl_fixture, ctl_fixture, mirrored_fixture  # noqa: F401 - fixtures

READS = [
    ["sessions"],
    ["projects"],
    ["projects", "show", "x"],
    ["show", "x"],
    ["query", "recent"],
    ["projects", "remove", "x", "--yes"],
    ["projects", "alias", "x", "y"],
    ["projects", "merge", "x", "y"],
]


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_reading_makes_no_database(bare_ctl: Ctl, words: list[str]) -> None:
    """Without a database a question ends with 78, says how to get one, and leaves no empty file behind."""
    said = bare_ctl(*words)
    assert (said.code, said.out) == (78, "")
    assert "there is no database sqlite:///" in said.err
    assert "hint: run `sessiond run ROOT`, or `sessionctl sync PATH`" in said.err
    assert not (bare_ctl.home / "state").exists()


def test_an_empty_file_is_no_mirror(bare_ctl: Ctl) -> None:
    """A database file without a schema is refused with the way to make one."""
    (bare_ctl.home / "state").mkdir()
    (bare_ctl.home / "state/mirror.db").touch()
    said = bare_ctl("sessions")
    assert said.code == 78
    assert "has no mirror yet" in said.err
    assert "sessionctl db upgrade" in said.err


def test_a_file_that_is_no_database_is_named(bare_ctl: Ctl) -> None:
    """Something else in the database's place ends with 69, not with a traceback."""
    (bare_ctl.home / "state").mkdir()
    (bare_ctl.home / "state/mirror.db").write_text("not a database at all, but long enough to be read as one")
    said = bare_ctl("sessions")
    assert said.code == 69
    assert said.err.startswith("sessionctl: the database file")


def test_an_unreachable_server_ends_with_69(bare_ctl: Ctl) -> None:
    """A server that does not answer is told in one line."""
    said = bare_ctl("sessions", "--database", "postgresql://127.0.0.1:1/none?connect_timeout=2")
    assert said.code == 69
    assert said.err.startswith("sessionctl: the database does not answer")


def test_upgrade_makes_the_schema_once(bare_ctl: Ctl) -> None:
    """The first upgrade makes the database, the second has nothing to do."""
    said = bare_ctl("db", "upgrade")
    assert said.code == 0
    assert "the schema was missing" in said.out
    (row,) = bare_ctl.json("db", "upgrade")
    assert (row["before"], row["revision"], row["changed"]) == ("current", schema.HEAD, False)
    assert bare_ctl("sessions").code == 0


def test_check_counts_rows(mirrored: Ctl) -> None:
    """A current schema is 0, with its dialect and the number of rows of each table."""
    (row,) = mirrored.json("db", "check")
    assert (row["state"], row["revision"], row["head"]) == ("current", schema.HEAD, schema.HEAD)
    assert row["dialect"] == row["database"].split(":")[0].split("+")[0]
    assert (row["tables"]["sessions"], row["tables"]["projects"], row["tables"]["findings"]) == (7, 2, 0)
    said = mirrored("db", "check").out
    assert "state:     current" in said
    assert any(line.split() == ["sessions", "7"] for line in said.splitlines())


def test_check_makes_nothing(bare_ctl: Ctl) -> None:
    """A missing database is 1, and stays missing."""
    said = bare_ctl("db", "check", "--json")
    assert said.code == 1
    assert said.object["rows"][0]["state"] == "missing"
    assert "db upgrade" in said.err
    assert not (bare_ctl.home / "state").exists()


@pytest.mark.parametrize(("revision", "state"), [("9999", "newer"), (None, "foreign")])
def test_check_tells_other_schemas_apart(bare_ctl: Ctl, revision: str | None, state: str) -> None:
    """A newer schema, or another program's, is 78 for the check and for every read; nothing is changed."""
    bare_ctl("db", "upgrade")
    database = Database(f"sqlite:///{bare_ctl.home}/state/mirror.db")
    with database.write() as connection:
        if revision is None:
            connection.exec_driver_sql("DROP TABLE alembic_version")
        else:
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")
    database.close()
    said = bare_ctl("db", "check", "--json")
    assert said.object["rows"][0] | {"database": ""} == {
        "database": "",
        "dialect": "sqlite",
        "revision": revision,
        "head": schema.HEAD,
        "state": state,
        "tables": {},
    }
    assert said.code == 78
    assert bare_ctl("sessions").code == 78
    assert bare_ctl("db", "upgrade").code == 78
    assert bare_ctl("sync", bare_ctl.project("one", {"a": builders.v2()})).code == 78


def test_check_of_an_empty_file_is_missing(bare_ctl: Ctl) -> None:
    """A database without any table can be upgraded, so it is 1."""
    (bare_ctl.home / "state").mkdir()
    (bare_ctl.home / "state/mirror.db").touch()
    said = bare_ctl("db", "check", "--json")
    assert (said.code, said.object["rows"][0]["state"]) == (1, "missing")


def test_state_dir_and_database_options_choose_the_database(bare_ctl: Ctl) -> None:
    """Both options win over the environment."""
    other = bare_ctl.home / "other"
    assert bare_ctl("db", "upgrade", "--state-dir", other).code == 0
    assert (other / "mirror.db").exists()
    assert bare_ctl("--database", f"sqlite:///{other}/second.db", "db", "upgrade").code == 0
    assert (other / "second.db").exists()
    assert not (bare_ctl.home / "state").exists()


def test_an_older_schema_can_be_upgraded(bare_ctl: Ctl) -> None:
    """An older schema is 1 for the check and 78 for a read, and the upgrade mends both."""
    database = Database(f"sqlite:///{bare_ctl.home}/state/mirror.db")
    schema.upgrade(database, target="0001")
    database.close()
    said = bare_ctl("db", "check", "--json")
    assert (said.code, said.object["rows"][0]["state"]) == (1, "older")
    said = bare_ctl("sessions")
    assert said.code == 78
    assert "older than this program" in said.err
    assert bare_ctl.json("db", "upgrade")[0]["before"] == "older"
    assert bare_ctl("sessions").code == 0
