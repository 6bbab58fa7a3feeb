"""What agents did is counted to the session, phase and checkpoint they worked on, whatever is known first."""

from pathlib import Path

import pytest

from sessionlib.db.engine import Database
from tests.desks import ONE, Desk, hour
from tests.talks import stamp


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """An empty desk, on each database."""
    return Desk(database, tmp_path)


def test_usage_goes_to_the_link_valid_at_its_time(desk: Desk) -> None:
    """A conversation that turns to another session is counted to each for its time, to its phase then."""
    talk = desk.talk(hour(8.5), ONE)
    talk.says(1).later(hours=1).says(2).later(hours=2).says(4).later(hours=1).says(8)
    desk.session("first", conversations=[desk.link("first", ONE, hour(8))])
    desk.session("second", conversations=[desk.link("second", ONE, hour(12))])
    desk.house.read()
    assert desk.counted() == {
        ("first", "spec", 0): 1,
        ("first", "plan", 0): 2,
        ("first", "build", 2): 4,
        ("second", "build", 2): 8,
    }
    assert [row["source"] for row in desk.house.rows("conversation_links")] == ["link", "link"]


def test_the_order_of_mirror_and_journal_does_not_matter(desk: Desk) -> None:
    """A link that is written, or mirrored, after the work was read moves it to its session all the same."""
    desk.talk(hour(8.5), ONE).says(1).later(hours=2).says(2)
    desk.house.read()
    assert desk.counted() == {("", "", 0): 3}
    desk.session("first", conversations=[desk.link("first", ONE, hour(8))])
    assert desk.counted() == {("first", "spec", 0): 1, ("first", "build", 2): 2}
    desk.session("first")
    desk.session("other")
    assert desk.counted() == {("", "", 0): 3}
    assert desk.house.rows("conversation_links") == []


def test_a_phase_that_is_entered_later_takes_only_what_comes_after(desk: Desk) -> None:
    """When a session's history changes, what was counted before is counted again by it."""
    desk.talk(hour(10.5), ONE).says(1).later(hours=2).says(2)
    link = [desk.link("first", ONE, hour(8))]
    desk.session("first", conversations=link)
    desk.house.read()
    assert desk.counted() == {("first", "build", 2): 3}
    history = {"spec_started_at": stamp(hour(8)), "build_started_at": stamp(hour(10))}
    desk.session(
        "first",
        conversations=link,
        current_phase="docs",
        phase_history=history | {"docs_started_at": stamp(hour(12))},
    )
    assert desk.counted() == {("first", "build", 2): 1, ("first", "docs", 0): 2}


def test_work_before_a_commit_is_of_its_checkpoint(desk: Desk) -> None:
    """Until the first commit for a checkpoint one works on that, after the last on the current one."""
    desk.talk(hour(10.5), ONE).says(1).later(hours=1).says(2).later(hours=1).says(4)
    commits = [
        {"sha": "a" * 40, "message": "one", "checkpoint": 1, "created_at": stamp(hour(11))},
        {"sha": "b" * 40, "message": "two", "checkpoint": 2, "created_at": stamp(hour(12))},
    ]
    progress = {"checkpoints_total": 3, "current_checkpoint": 3, "checkpoints_completed": [1, 2]}
    desk.session(
        "first",
        conversations=[desk.link("first", ONE, hour(8))],
        commits=commits,
        build_progress=progress,
    )
    desk.house.read()
    assert desk.counted() == {
        ("first", "build", 1): 1,
        ("first", "build", 2): 2,
        ("first", "build", 3): 4,
    }


def test_one_agent_may_work_on_another_session(desk: Desk) -> None:
    """A link that names an agent is for that one alone."""
    talk = desk.talk(hour(10.5), ONE).says(1)
    talk.says(2, agent="helper")
    desk.session("first", conversations=[desk.link("first", ONE, hour(8))])
    desk.session("second", conversations=[desk.link("second", ONE, hour(8), agent_native_id="helper")])
    desk.house.read()
    assert desk.counted() == {("first", "build", 2): 1, ("second", "build", 2): 2}
    slugs = {row["session_id"]: row["slug"] for row in desk.world.rows("sessions")}
    assert slugs[desk.house.row("agents", native_id="helper")["session_id"]] == "second"


def test_the_one_active_session_is_inferred(desk: Desk) -> None:
    """Without any link it is the only session that was active in the workspace; with two it is none."""
    desk.session("only")
    desk.talk(hour(11), ONE).says(1)
    desk.house.read()
    assert desk.counted() == {("only", "build", 2): 1}
    assert [row["source"] for row in desk.house.rows("conversation_links")] == ["inferred"]
    desk.session("another")
    assert desk.counted() == {("", "", 0): 1}


def test_what_was_finished_before_is_not_inferred(desk: Desk) -> None:
    """A session that ended before the conversation began, or began after it, is not what it worked on."""
    desk.session("done", status="complete", current_phase="complete", updated_at=stamp(hour(10.2)))
    desk.session("later", created_at=stamp(hour(20)))
    desk.session("now")
    desk.talk(hour(11), ONE).says(1)
    desk.house.read()
    assert {key[0] for key in desk.counted()} == {"now"}


def test_a_process_can_be_told_its_session(desk: Desk) -> None:
    """The environment of a hook names the session; a document's own word comes before it."""
    desk.session("first")
    desk.session("second")
    talk = desk.talk(hour(11), ONE).says(1)
    desk.house.deliver(talk.payload("UserPromptSubmit", prompt="go"), SESSIOND_SESSION="second")
    desk.house.drain()
    desk.house.read()
    assert {key[0] for key in desk.counted()} == {"second"}
    assert [row["source"] for row in desk.house.rows("conversation_links")] == ["environment"]
    desk.session("first", conversations=[desk.link("first", ONE, hour(8))])
    desk.world.reconcile(desk.root)
    links = {row["source"] for row in desk.house.rows("conversation_links")}
    assert links == {"environment", "link"}


def test_a_session_that_is_renamed_keeps_what_was_done(desk: Desk) -> None:
    """The old row goes on to be there as a tombstone, and so does what was counted to it."""
    desk.session("first", conversations=[desk.link("first", ONE, hour(8))])
    desk.talk(hour(11), ONE).says(1)
    desk.house.read()
    (desk.root / "first").rename(desk.root / "renamed")
    desk.world.reconcile(desk.root)
    desk.world.confirm(desk.root)
    desk.mirror()
    assert {key[0] for key in desk.counted()} <= {"first", "renamed"}
    assert sum(desk.counted().values()) == 1
