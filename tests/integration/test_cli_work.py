"""The verbs about agents' work: the same rows from the database, from a daemon and over HTTP; and as text."""

from collections.abc import Iterator

import pytest

from sessionlib.db.engine import Database
from sessionlib.db.queries import GROUPINGS
from sessionlib.db.types import encode_time
from tests.ctl import Ctl, Said, ctl_fixture  # noqa: F401 - a fixture
from tests.relaying import Both, relayed
from tests.villages import Village, village
from tests.worlds import hours

CURSOR = f"{encode_time(hours(1))}|00000000-0000-0000-0000-000000000000|x"
SAME: tuple[tuple[str, list[str]], ...] = (
    ("/conversations", ["conversations"]),
    (
        "/conversations?project=GARDEN&status=ended&client=claude-code&session=wall",
        [
            "conversations",
            "--project",
            "GARDEN",
            "--status",
            "ended",
            "--client",
            "claude-code",
            "--session",
            "wall",
        ],
    ),
    ("/conversations?unlinked=yes&limit=1", ["conversations", "--unlinked", "--limit", "1"]),
    ("/conversations?since=2026-01-05T11:00:00Z", ["conversations", "--since", "2026-01-05T12:00:00+01:00"]),
    ("/conversations?offset=2", ["conversations", "--offset", "2"]),
    ("/agents", ["agents"]),
    ("/agents?failed=true&phase=build", ["agents", "--failed", "--phase", "build"]),
    ("/agents?status=failed&project=garden", ["agents", "--status", "failed", "--project", "garden"]),
    ("/agents?type=main&session=roof", ["agents", "--type", "main", "--session", "agents/sessions/roof/"]),
    (
        "/agents?conversation=talk&limit=2&offset=1",
        ["agents", "--conversation", "talk", "--limit=2", "--offset=1"],
    ),
    ("/agents?since=2026-01-05T09:15Z", ["agents", "--since", "2026-01-05T09:15"]),
    ("/costs", ["cost"]),
    *((f"/costs?by={by}", ["cost", "--by", by]) for by in GROUPINGS),
    ("/costs?by=session&limit=1", ["cost", "--by", "session", "--limit", "1"]),
    (
        "/costs?by=day&since=2026-01-05&until=2026-01-06&project=garden",
        ["cost", "--by", "day", "--since", "2026-01-05", "--until", "2026-01-06", "--project", "garden"],
    ),
    ("/costs?by=phase&session=wall", ["cost", "--by", "phase", "--session", "wall"]),
    ("/costs?since=2030-01-01", ["cost", "--since", "2030-01-01"]),
    ("/tools", ["tools"]),
    ("/tools?server=forge&project=shed", ["tools", "--server", "forge", "--project", "shed"]),
    ("/tools?failed=1&limit=1", ["tools", "--failed", "--limit", "1"]),
    ("/tools?mcp=true&session=gate", ["mcp", "--session", "gate"]),
    ("/tools?mcp=true&failed=true", ["mcp", "--failed"]),
    ("/logs?session=wall", ["logs", "wall"]),
    ("/logs?session=wall&project=garden&limit=2", ["logs", "wall", "--project", "garden", "--limit", "2"]),
    (
        "/logs?conversation=talk&category=response",
        ["logs", "--conversation", "talk", "--category", "response"],
    ),
    (f"/logs?session=wall&after={CURSOR}&limit=1", ["logs", "wall", "--after", CURSOR, "--limit", "1"]),
    (f"/logs?session=wall&before={CURSOR}", ["logs", "wall", "--before", CURSOR]),
    ("/logs?session=gate&since=2026-01-05T10:40Z", ["logs", "gate", "--since", "2026-01-05T10:40Z"]),
    ("/timeline?session=wall", ["timeline", "wall"]),
    (
        "/timeline?session=gate&project=garden&limit=1",
        ["timeline", "gate", "--project", "garden", "--limit", "1"],
    ),
    ("/timeline?session=wall&since=2026-01-05T10:00Z", ["timeline", "wall", "--since", "2026-01-05T10:00Z"]),
    ("/todos", ["todos"]),
    ("/todos?project=shed&all=true", ["todos", "--project", "shed", "--all"]),
    ("/todos?conversation=talk&limit=1", ["todos", "--conversation", "talk", "--limit", "1"]),
    *(
        (f"/queries/{name}", ["query", name])
        for name in (
            "failed-agents",
            "failed-agents-in-build",
            "running-agents",
            "cost-per-project",
            "cost-per-phase",
            "mcp-usage",
            "unlinked-conversations",
            "unpriced",
        )
    ),
    ("/queries/cost-per-phase?session=wall", ["query", "cost-per-phase", "wall"]),
    ("/queries/failed-agents?project=shed", ["query", "failed-agents", "--project", "shed"]),
    ("/queries/mcp-usage?session=gate", ["query", "mcp-usage", "--session", "gate"]),
)


@pytest.fixture
def row(ctl: Ctl, mirror_database: Database) -> Village:
    """A village in the database of `ctl`."""
    assert ctl.home.exists()
    with mirror_database.write() as connection:
        return village(connection)


@pytest.fixture
def both(
    ctl: Ctl, row: Village, mirror_database: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Both]:
    """A daemon on a village."""
    assert row
    with relayed(ctl, mirror_database, monkeypatch) as made:
        yield made


def test_all_doors_give_the_same(both: Both) -> None:
    """Rows, text, notes and exit code, from the database, from a daemon, and the rows over HTTP."""
    for target, words in SAME:
        for form in ([], ["--json"]):
            both.heard.clear()
            said = both.ctl(*words, *form)
            assert both.heard[-1] is not None, words
            assert said.code == 0, (words, said)
            assert said == both.without([*words, *form]), words
        assert both.home.get(target.replace("|", "%7C").replace("+", "%2B"))["rows"] == said.rows, target


def test_a_cost_route_tells_the_total(both: Both) -> None:
    """Beside the rows it says what all groups come to, also those beyond the limit."""
    told = both.home.get("/costs?by=session&limit=1")
    assert list(told) == ["as_of", "stale", "rows", "total", "groups"]
    assert (told["total"]["cost_usd"], told["groups"], len(told["rows"])) == (5.050000001, 4, 1)
    assert both.home.get("/agents?limit=1")["more"] is True


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ("/costs?by=phaes", 400, "did you mean: phase?"),
        ("/costs?since=yesterday", 400, "a day like 2026-02-16"),
        ("/agents?failed=true&status=running", 400, "no other status"),
        ("/agents?project=gardn", 404, "did you mean: garden?"),
        ("/agents?conversation=nobody", 404, "no conversation named 'nobody'"),
        ("/logs", 400, "a log is that of a session or of a conversation"),
        ("/logs?session=wall&after=x", 400, "no place in a log"),
        ("/timeline", 400, "a timeline is that of a session"),
        ("/todos?limit=0", 400, "a whole number from 1"),
        ("/conversations?sesion=wall", 400, "did you mean: session?"),
    ],
)
def test_what_a_route_refuses(both: Both, target: str, status: int, words: str) -> None:
    """One sentence, and what to do."""
    answer = both.home.ask("GET", target)
    assert answer.status == status
    assert words in f"{answer.json['error']} {answer.json['hint']}"


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["agents", "--project", "gardn"], 1, "no project named 'gardn'\n  hint: did you mean: garden?"),
        (["agents", "--conversation", "x"], 1, "hint: `sessionctl conversations` lists them all"),
        (["agents", "--failed", "--status", "running"], 2, "not allowed with"),
        (["agents", "--since", "yesterday"], 2, "'yesterday' is not a day like 2026-02-16"),
        (["cost", "--by", "fase"], 2, "phase"),
        (["cost", "--since", "2026-02-30"], 2, "is not a day"),
        (["logs"], 2, "a log is that of a session or of a conversation"),
        (["logs", "wall", "--conversation", "talk"], 2, "a log is that of a session or of a conversation"),
        (["logs", "wall", "--after", "x"], 2, "'x' is no place in a log"),
        (["logs", "wull"], 1, "no session named 'wull'\n  hint: did you mean: wall?"),
        (["logs", "wall", "--follow", "--after", "x"], 2, "not allowed with"),
        (["logs", "wull", "--follow"], 1, "no session named 'wull'"),
        (["timeline"], 2, "SESSION"),
        (["timeline", "nothing"], 1, "no session named 'nothing'"),
        (["mcp", "--limit", "0"], 2, "is no whole number"),
    ],
)
def test_mistakes_end_in_a_sentence(ctl: Ctl, words: list[str], code: int, message: str) -> None:
    """With the exit code of its kind, and nothing on standard output."""
    said = ctl(*words)
    assert (said.code, said.out) == (code, "")
    assert message in said.err


@pytest.mark.usefixtures("row")
def test_cost_for_people(ctl: Ctl) -> None:
    """The total is the last line; what has no price says so, and is counted in a note."""
    said = ctl("cost", "--by", "session")
    lines = said.out.splitlines()
    assert lines[0].split() == [
        *("SESSION", "PROJECT", "TITLE", "RESPONSES", "IN", "OUT", "CACHE", "READ", "CACHE", "WRITE"),
        *("UNPRICED", "BEYOND", "RESPONSES", "COST"),
    ]
    assert lines[1].split()[:2] == ["wall", "garden"]
    assert [line.split()[-1] for line in lines[1:]] == [
        "$4.8000",
        "$0.2500",
        "<$0.0001",
        "unpriced",
        "$5.0500",
    ]
    assert lines[-1].split()[0] == "total"
    assert (
        "10 responses of 60 without a known price: `sessionctl query unpriced` names the models" in said.err
    )
    cut = ctl("cost", "--by", "session", "--limit", 1)
    assert "the first 1 of 4; the total is of all (--limit)" in cut.err
    assert cut.out.splitlines()[-1].split()[-1] == "$5.0500"
    assert ctl("cost", "--since", "2030-01-01").out == "nothing was used\n"
    assert len(ctl("cost", "--by", "total").out.splitlines()) == 2


@pytest.mark.usefixtures("row")
def test_lists_for_people(ctl: Ctl) -> None:
    """Each list names what people look for, and says how to go on where it was cut."""
    agents = ctl("agents", "--failed", "--phase", "docs")
    assert agents.out.splitlines()[1].split()[:7] == [
        "Smith",
        "failed",
        "garden",
        "gate",
        "docs",
        "Explore",
        "talk-1",
    ]
    assert "no iron" in agents.out
    assert ctl("agents", "--phase", "spec").out == "no agents\n"
    assert "2, and there are more; go on with --offset 3" in ctl("agents", "--limit", 2, "--offset", 1).err
    (talk,) = [line for line in ctl("conversations").out.splitlines() if line.startswith("talk-1")]
    assert "gate, wall" in talk
    assert "mason" in talk
    assert "the first 1; there are more (--limit)" in ctl("tools", "--limit", 1).err
    bash = ctl("tools").out.splitlines()[1].split()
    assert bash == ["-", "Bash", "5", "4", "1", "-", "-", "-", "20", "ms", "25", "ms", "40", "ms"]
    assert "1; there are more before (--limit, --before)" in ctl("logs", "wall", "--limit", 1).err
    assert "the last 1; there are more (--limit)" in ctl("timeline", "wall", "--limit", 1).err
    assert ctl("todos").out.splitlines()[1].split()[:3] == ["-", "do", "3"]
    assert ctl("logs", "--conversation", "lost").out == "no events\n"


@pytest.mark.usefixtures("row")
def test_pages_of_a_log_follow_by_cursors(ctl: Ctl) -> None:
    """The cursor of the first row gives the page before, that of the last row the page after."""
    rows = ctl.json("logs", "wall")
    keys = [row["cursor"] for row in rows]
    last = ctl.json("logs", "wall", "--limit", 2)
    assert [row["cursor"] for row in last] == keys[2:]
    before = ctl.json("logs", "wall", "--limit", 2, "--before", last[0]["cursor"])
    assert [row["cursor"] for row in before] == keys[:2]
    after = ctl.json("logs", "wall", "--limit", 5, "--after", before[0]["cursor"])
    assert [row["cursor"] for row in after] == keys[1:]
