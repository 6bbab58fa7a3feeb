"""What is written for people agrees with the program."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sessiond.control.routes import ROUTES
from sessionlib import config
from sessionlib.config import Config, ModelPrice, sections
from sessionlib.config.reloading import LIVE

HOUSE = Path(__file__).parent.parent
EXAMPLE = HOUSE / "config.example.toml"
PARTS = ("benchmarks", "daemon", "sessionlib", "systemd", "tests")
"""Folders with pages of their own."""


def keys() -> list[tuple[str, str, Any]]:
    """Return every key with its section and its default."""
    return [
        (section, name, field.default)
        for section, model in sections().items()
        for name, field in model.model_fields.items()
    ]


def section_text(name: str) -> str:
    """Return the lines of one section of the example."""
    parts = re.split(r"^\[(\w+)\]$", EXAMPLE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[name]


def comment(section: str, key: str) -> str:
    """Return what the example says above a key, as one line."""
    before = re.split(rf"^(?:# )?{key} = ", section_text(section), maxsplit=1, flags=re.MULTILINE)[0]
    return " ".join(before.rsplit("\n\n", 1)[-1].replace("# ", "").split())


def test_every_setting_has_a_section() -> None:
    """Nothing but the source stands outside the sections, so that the other tests see every key."""
    assert set(Config.model_fields) == {*sections(), "prices", "source"}


@pytest.mark.parametrize(("section", "key", "default"), keys(), ids=lambda value: str(value)[:20])
def test_example_shows_every_key_with_its_default(section: str, key: str, default: Any) -> None:
    """A key with a default stands there with it, one without is mentioned, and each is explained."""
    shown = tomllib.loads(EXAMPLE.read_text())[section]
    text = section_text(section)
    if default is None:
        assert key not in shown
        assert re.search(rf"^# {key} = \S+$", text, re.MULTILINE)
    else:
        assert shown[key] == (list(default) if isinstance(default, tuple) else default)
        assert type(shown[key]) in (type(default), list)
    assert len(comment(section, key)) > 40, f"{key} is not explained"


def test_example_has_no_other_keys() -> None:
    """Nothing in the example is unknown, and reading it gives the defaults."""
    read = config.load(EXAMPLE, environ={})
    assert read.model_copy(update={"source": "the defaults"}) == Config()


def test_example_can_be_used_with_its_optional_keys() -> None:
    """What is commented out is of the right form too, and none of it is forgotten here."""
    optional = [(section, name) for section, name, default in keys() if default is None]
    text = re.sub(r"^# (\w+ = \S+|\[\S+\])$", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
    read = Config.model_validate(tomllib.loads(text))
    for section, name in optional:
        assert getattr(getattr(read, section), name) is not None
    assert read.daemon.state_dir == Path.home() / ".local/state/sessiond"
    (price,) = read.prices.values()
    assert price.model_fields_set == set(ModelPrice.model_fields)


def test_example_explains_what_a_model_costs() -> None:
    """Each key of a model's prices stands in the example, with its limits and with what its absence means."""
    text = EXAMPLE.read_text().split('# [prices."', 1)[1]
    for name, field in ModelPrice.model_fields.items():
        (said,) = re.findall(rf"((?:^# .+\n)+)# {name} = [0-9.]+$", text.replace("#\n", "\n"), re.MULTILINE)
        assert "(0 to 100000)." in said, name
        assert ("Unset" in said) is not field.is_required(), name


def test_example_names_the_limits() -> None:
    """Where a number has limits, the comment above it says so."""
    for section, model in sections().items():
        for name, field in model.model_fields.items():
            ends = [
                getattr(limit, end)
                for limit in field.metadata
                for end in ("ge", "gt", "le")
                if getattr(limit, end, None) is not None
            ]
            for end in ends:
                assert re.search(rf"\b{end:g}\b", comment(section, name)), f"{section}.{name}: {end}"


def test_example_says_what_a_reload_applies() -> None:
    """The mark stands at exactly the keys that a running daemon takes over."""
    marked = {
        f"{section}.{name}" for section, name, _ in keys() if "Applied by a reload." in comment(section, name)
    }
    assert marked == LIVE - {"database.url_file", "prices"}
    assert "One table for each model. Applied by a reload." in EXAMPLE.read_text()
    assert "Applied by a reload when" in comment("database", "url")
    assert "Read again by a reload" in comment("database", "url_file")


def test_example_names_the_variables() -> None:
    """A key that a variable sets says which, and no key names another."""
    named = {
        f"{section}.{name}": re.findall(r"Environment: (\w+)\.", comment(section, name))
        for section, name, _ in keys()
    }
    told = {key: found for key, found in named.items() if found}
    assert told == {
        "database.url": [config.DATABASE_VARIABLE],
        "daemon.state_dir": [config.STATE_VARIABLE],
        "daemon.runtime_dir": [config.RUNTIME_VARIABLE],
        "daemon.host_id": [config.HOST_VARIABLE],
    }
    for key, (variable,) in told.items():
        value = {"host_id": str(uuid4()), "url": "sqlite:////x.db"}.get(key.split(".")[1], "/x")
        assert config.load(environ={variable: value}).origin(key) == variable


EVENT_KINDS = (
    *("channel", "config", "control", "db", "debounce", "discover", "feed", "import", "log", "project"),
    *("python", "reconcile", "rescan", "session", "sessiond", "signal", "status", "sync", "thread", "watch"),
    *("identity", "ingest", "journal", "readahead", "spool", "tracking", "workspace"),
)
_PARTS = ("changes", "channel", "control", "debounce", "feed", "lock", "logs", "rescans", "rounds", "signals")
LOGGERS = {f"sessiond.{part}" for part in (*_PARTS, "tracking", "watch")}
NOT_EVENTS = LOGGERS | {
    "control.listen",
    "tracking.hooks",
    "sessiond.readahead",
    "sessiond.reader",
    "control.token_file",
    "log.file",
    "log.level",
    "watch.roots",
    "watch.config",
}
"""Names of loggers, and of settings, that look like events."""


def test_every_log_event_is_documented() -> None:
    """Each event name in the code stands in the page of events, and the page names no other."""
    kinds = "|".join(EVENT_KINDS)
    name = re.compile(rf"(?:{kinds})\.[a-z_]+")
    code = [*HOUSE.glob("daemon/**/*.py"), *HOUSE.glob("sessionlib/sync/**/*.py")]
    used = {
        literal
        for path in code
        for literal in re.findall(rf"\"({name.pattern})\"", path.read_text())
        if not literal.endswith((".json", ".toml"))
    }
    page = (HOUSE / "sessionlib" / "cli" / "log-events.md").read_text()
    told = set(re.findall(rf"`({name.pattern})`", page))
    assert told - NOT_EVENTS == used - NOT_EVENTS


def test_every_log_event_says_what_to_do() -> None:
    """No row of the table of events leaves an operator alone, and the operator's page leads there."""
    page = (HOUSE / "sessionlib" / "cli" / "log-events.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) == 4, row
        assert all(cells), row
    operations = (HOUSE / "docs" / "operations.md").read_text()
    assert "../daemon/README.md#log-events" in operations.split("\n## Log\n", 1)[1].split("\n## ")[0]


def test_every_route_is_documented() -> None:
    """Each route and method of the control server stands in the operator's page, and no other."""
    page = (HOUSE / "docs" / "operations.md").read_text().split("## Control routes", 1)[1].split("\n## ")[0]
    told = set(re.findall(r"`(GET|POST) (/[a-z0-9/]+(?:SESSION|NAME)?)", page))
    served = {(method, route.name) for route in ROUTES for method in route.methods}
    assert told == served


def test_the_security_page_names_tests_that_are_there() -> None:
    """Each point has a test, in a file that exists and has a function of that name."""
    page = (HOUSE / "docs" / "security.md").read_text().split("## Run-time dependencies", 1)[0]
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| point")]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r"`(tests/[a-z_/]+\.py)(?:::(test_\w+))?`", row.strip("|").split(" | ")[-1])
        assert named, row
        for file, function in named:
            text = (HOUSE / file).read_text()
            assert not function or f"def {function}(" in text, f"{file}::{function}"


def tables_of_reliability() -> tuple[list[str], list[str]]:
    """Return the rows of the faults and of the invariants."""
    page = (HOUSE / "docs" / "reliability.md").read_text()
    faults, invariants = page.split("\n## Faults\n", 1)[1].split("\n## Invariants", 1)
    found = [re.findall(r"^\|(?!---)(.+)\|$", part, re.MULTILINE)[1:] for part in (faults, invariants)]
    return found[0], found[1]


def test_the_reliability_page_names_tests_that_are_there() -> None:
    """Each fault and each invariant has at least one, with its folder below tests/."""
    faults, invariants = tables_of_reliability()
    assert len(faults) > 30
    for row in faults + invariants:
        named = re.findall(r"`([a-z_/]+\.py)`", row)
        assert named, row
        assert [one for one in named if not (HOUSE / "tests" / one).is_file()] == [], row


def test_the_reliability_page_has_a_figure_everywhere() -> None:
    """Nothing is left that stands for a figure which has not been measured."""
    assert re.findall(r"@[A-Z]+", (HOUSE / "docs" / "reliability.md").read_text()) == []


def test_the_reliability_page_knows_every_invariant() -> None:
    """All thirteen of the design are there, in order, each with its name."""
    _, invariants = tables_of_reliability()
    numbers = [int(number) for row in invariants for number in re.findall(r"^ (\d+) [A-Z]\w", row)]
    assert (numbers, len(invariants)) == (list(range(1, 14)), 13)


def test_every_variable_of_the_tests_is_used_by_one() -> None:
    """Whoever sets what a page names gets what it says."""
    pages = [*HOUSE.glob("docs/**/*.md"), *HOUSE.glob("*.md")]
    pages += [page for part in PARTS for page in (HOUSE / part).glob("**/*.md")]
    told = {name for page in pages for name in re.findall(r"\bSESSIOND_TEST_\w+", page.read_text())}
    assert "SESSIOND_TEST_SEED" in told
    code = "\n".join(path.read_text() for path in (HOUSE / "tests").glob("**/*.py"))
    # In quotation marks, and not in words about it.
    assert told <= set(re.findall(r"\"(SESSIOND_TEST_\w+)\"", code))


def test_the_security_page_names_every_dependency() -> None:
    """The table holds the run-time dependencies of the package and no other, each at the version in use."""
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[\[><=;]", one)[0] for one in project["dependencies"]}
    page = (HOUSE / "docs" / "security.md").read_text().split("## Run-time dependencies", 1)[1]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines() if "|" in line
    ]
    told = {row[0]: row[1] for row in rows[2:]}
    assert told.keys() == wanted
    for name, told_version in told.items():
        minimum = next(one for one in project["dependencies"] if re.match(rf"{name}\W", one))
        (least,) = re.findall(r">=([\d.]+)", minimum)
        numbers = [[int(part) for part in text.split(".")] for text in (told_version, least)]
        assert numbers[0] >= numbers[1], f"{name} {told_version} is older than {least}"
    brought = page.split("They bring with them:", 1)[1]
    for name in _brought(wanted) - wanted:
        assert re.search(rf"\b{re.escape(name)}\b", brought), name


def _brought(names: set[str]) -> set[str]:
    """Return all that the installed packages need, themselves included."""
    found: set[str] = set()
    ahead = {*names, "psycopg-binary"}
    while ahead:
        name = ahead.pop()
        found.add(name)
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            found.discard(name)
            continue
        plain = {re.split(r"[^A-Za-z0-9_.-]", one)[0] for one in needs if "extra ==" not in one}
        ahead |= {re.sub(r"[-_.]+", "-", one).lower() for one in plain} - found
    return found
