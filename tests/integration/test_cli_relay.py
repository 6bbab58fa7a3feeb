"""What `sessionctl` prints is the same, byte for byte, whether the daemon or the database has answered."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sessionlib.db.engine import Database
from sessionlib.db.questions import QUESTIONS
from sessionlib.errors import ConfigError
from tests.ctl import Ctl, Said, ctl_fixture, mirrored_fixture  # noqa: F401 - fixtures
from tests.relaying import Both, relayed

ANSWERED = (
    ["sessions"],
    ["sessions", "--phase", "build", "--project", "SHOP", "--status", "active"],
    ["sessions", "--min-checkpoints", "5", "--min-completed", "1"],
    ["sessions", "--text", "by name", "--missing"],
    ["sessions", "--text", "ü %/&=+#?"],
    ["sessions", "--branch", "nowhere", "--type", "ful"],
    ["sessions", "--limit", "2", "--offset", "1"],
    ["sessions", "--offset", "90"],
    ["show", "wall"],
    ["show", "half", "--project", "shop"],
    ["show", "agents/sessions/half-built/"],
    ["show", "wall", "--document"],
    ["show", "renamed"],
    ["projects"],
    ["projects", "list"],
    ["query", "stuck", "--days", "0.5", "--limit", "2"],
    ["query", "decisions", "brick 3"],
    ["query", "commit", "0000002", "--project", "garden"],
    ["query", "time-per-phase", "--session", "wall"],
    *(["query", question.name] for question in QUESTIONS if not question.needs),
)
LEFT_TO_THE_DATABASE = (
    ["sessions", "--project", "shp"],
    ["sessions", "--limit", "20000"],
    ["sessions", "--text", ""],
    ["sessions", "-v"],
    ["sessions", "--max-age", "1s"],
    ["show", "nothing"],
    ["show", "a"],
    ["show", ".."],
    ["show", "wall%2F"],
    ["show", "wall", "--project", "nix"],
    ["query", "recent", "--project", "x"],
    ["projects", "show", "shop"],
)


@pytest.fixture
def both(mirrored: Ctl, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    """A daemon beside a mirror of files."""
    database = Database(str(mirrored.environment["SESSIOND_DATABASE_URL"]))
    with relayed(mirrored, database, monkeypatch) as made:
        yield made
    database.close()


def timeless(said: Said) -> Said:
    """Leave out the seconds that an open session's phase lasts until now."""
    return said._replace(out=re.sub(r'("seconds": )[\d.e]+', r"\1…", said.out))


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_both_ways_print_the_same(both: Both, form: list[str]) -> None:
    """Rows, notes, freshness and exit code of every reading verb; and the daemon has answered them all."""
    for words in ANSWERED:
        said = both.run(*words, *form)
        assert both.heard, words
        assert both.heard[-1] is not None, words
        assert said.code == 0, words
        assert timeless(said) == timeless(both.without([*words, *form])), words


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_what_is_odd_is_left_to_the_database(both: Both, form: list[str], monkeypatch: Any) -> None:
    """Mistakes, refusals and rare options give what they give without the relay."""
    monkeypatch.setattr("sessionlib.cli.live.MOST_WAITING", 0.1)
    for words in LEFT_TO_THE_DATABASE:
        said = both.run(*words, *form)
        assert not any(both.heard), words
        assert said == both.without([*words, *form]), words


def test_a_mirror_that_is_fresh_enough_is_answered(both: Both) -> None:
    """`--max-age` is honoured by the daemon itself."""
    both.daemon.fresh = None
    said = both.run("sessions", "--max-age", "1m", "--json")
    assert both.heard[-1] is not None
    assert (said.code, said.object["stale"], len(said.rows)) == (0, False, 7)


def elsewhere(both: Both) -> None:
    both.daemon.database_name = "sqlite:////somewhere/else.db"


def never_vouched(both: Both) -> None:
    assert both.daemon.fresh is not None
    both.daemon.fresh = both.daemon.fresh._replace(as_of=None)


def down(both: Both) -> None:
    both.daemon.database = None


def garbled(both: Both) -> None:
    configured(both)
    both.say(config=["what"])


def configured(both: Both) -> None:
    """Write a configuration that the daemon has not read."""
    path = both.ctl.home / "config" / "sessiond" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[watch]\nreconcile_interval = 60\n")


CHANGES: dict[str, Callable[[Both], None]] = {
    "another version": lambda both: both.say(version="0.0.0"),
    "another socket": lambda both: both.say(socket="/elsewhere"),
    "another host": lambda both: both.say(host_id="5f0c2f9e-0000-4000-8000-000000000002"),
    "no last words": lambda both: both.last_words.unlink(),
    "last words of another form": lambda both: both.last_words.write_text('{"version": 3}'),
    "garbled last words": garbled,
    "an unread configuration": configured,
    "a credential": lambda both: both.ctl.monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(both.ctl.home)),
    "another database": elsewhere,
    "a mirror nobody vouches for": never_vouched,
    "a daemon without its database": down,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_certain_is_left_to_the_database(both: Both, change: str) -> None:
    """The answer is there all the same, and comes from the database."""
    CHANGES[change](both)
    said = both.run("sessions", "--json")
    assert both.heard == [None]
    assert len(said.rows) == 7


def test_a_configuration_that_the_daemon_has_read_counts(both: Both) -> None:
    """A file that is older than its reading is believed to be good; a change makes it anybody's guess."""
    configured(both)
    path = both.ctl.home / "config" / "sessiond" / "config.toml"
    both.say(config={"source": str(path), "reloaded_at": "2999-01-01T00:00:00Z", "reload_error": None})
    both.run("sessions")
    assert both.heard[-1] is not None
    both.say(config={"source": str(path), "reloaded_at": "2999-01-01T00:00:00Z", "reload_error": "broken"})
    both.run("sessions")
    assert both.heard == [None]


def test_a_broken_configuration_is_still_refused(both: Both) -> None:
    """A daemon that goes on with its old settings does not hide it."""
    configured(both)
    path = both.ctl.home / "config" / "sessiond" / "config.toml"
    path.write_text("[watch]\nreconcile_interval = 'often'\n")
    both.say(config={"source": str(path), "reloaded_at": "2026-01-01T00:00:00Z", "reload_error": None})
    assert both.run("sessions").code == ConfigError.exit_code


_HEAVY = (
    "sqlalchemy",
    "pydantic",
    "alembic",
    "orjson",
    "rich",
    "typing_extensions",
    "dataclasses",
    "inspect",
)


@pytest.mark.parametrize(
    "words", [["sessions"], ["show", "wall"], ["query", "recent"], ["projects"], ["query"]]
)
def test_an_answer_of_the_daemon_needs_no_heavy_module(both: Both, words: list[str]) -> None:
    """What a verb imports when the daemon answers: the standard library, and little of that."""
    program = (
        "import sys; from sessionlib.cli.entry import main; code = main();"
        f" print(sorted(set({_HEAVY!r}) & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    ran = subprocess.run(
        [sys.executable, "-I", "-c", program, *words],
        env=environ,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert ran.stderr.splitlines()[-1] == "[]", ran
