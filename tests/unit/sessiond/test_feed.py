"""The change feed: numbered, resumable, the same for every listener."""

import json
import threading
from typing import Any

import pytest

from sessiond.feed import Change, Entry, Feed

NOBODY = "00000000-0000-0000-0000-000000000000"


def change(seq: int = 1, **more: Any) -> Change:
    """Return a change of a made-up session."""
    fields: dict[str, Any] = {
        "kind": "changed",
        "at": "2026-01-05T09:00:00.000Z",
        "project": "garden",
        "project_id": NOBODY,
        "session_id": NOBODY,
        "root": "agents/sessions",
        "slug": "wall",
        "seq": seq,
        "phase": "build",
        "status": "active",
        "host_id": NOBODY,
    }
    return Change(**(fields | more))


def numbers(entries: list[Entry] | None) -> list[int] | None:
    """Return the version numbers of entries."""
    return None if entries is None else [entry.change.seq for entry in entries]


class TestFeed:
    def test_every_listener_hears_every_change_in_order(self):
        """Two listeners get the same entries, with ids that count."""
        feed, one, two = Feed(), [], []
        feed.subscribe(one.append)
        feed.subscribe(two.append)
        feed.publish([change(1), change(2)])
        feed.publish([change(3)])
        assert numbers(one) == numbers(two) == [1, 2, 3]
        assert len({entry.entry_id for entry in one}) == 3
        assert one[-1].entry_id == feed.last_id
        assert (feed.published, feed.listeners) == (3, 2)

    def test_who_unsubscribed_hears_nothing_more(self):
        """After unsubscribing, which may be done twice, a listener is not called."""
        feed, heard = Feed(), []
        _, unsubscribe = feed.subscribe(heard.append)
        feed.publish([change(1)])
        unsubscribe()
        unsubscribe()
        feed.publish([change(2)])
        assert numbers(heard) == [1]
        assert feed.listeners == 0

    def test_resuming_after_an_id(self):
        """Whoever names the last id he has gets exactly what came after it."""
        feed, heard = Feed(), []
        feed.subscribe(heard.append)
        feed.publish(change(seq) for seq in range(1, 6))
        assert [numbers(feed.subscribe(print, after=entry.entry_id)[0]) for entry in heard] == [
            [2, 3, 4, 5],
            [3, 4, 5],
            [4, 5],
            [5],
            [],
        ]

    def test_without_an_id_nothing_is_repeated(self):
        """A newcomer hears what comes from now on."""
        feed = Feed()
        feed.publish([change(1)])
        assert feed.subscribe(print)[0] == []

    def test_resuming_from_the_beginning(self):
        """The id before the first change stands for all of them."""
        feed = Feed()
        beginning = feed.last_id
        feed.publish([change(1), change(2)])
        assert numbers(feed.subscribe(print, after=beginning)[0]) == [1, 2]

    @pytest.mark.parametrize(
        "after", ["", "-", "0", "other-1", "{life}-", "{life}-x", "{life}--1", "{life}-9"]
    )
    def test_an_id_that_says_nothing(self, after):
        """Another life's id, a number of the future and rubbish all mean: look at everything anew."""
        feed = Feed()
        feed.publish([change(1)])
        life = feed.last_id.split("-", maxsplit=1)[0]
        assert feed.subscribe(print, after=after.format(life=life))[0] is None

    def test_changes_that_are_kept_no_longer(self):
        """Only so many changes are kept; whoever was away for longer must look at everything anew."""
        feed, heard = Feed(kept=3), []
        feed.subscribe(heard.append)
        feed.publish(change(seq) for seq in range(1, 7))
        assert numbers(feed.subscribe(print, after=heard[2].entry_id)[0]) == [4, 5, 6]
        assert feed.subscribe(print, after=heard[1].entry_id)[0] is None

    def test_a_listener_that_fails(self, caplog):
        """A listener's exception is logged, and neither the others nor the publisher notice."""
        feed, heard = Feed(), []

        def fail(entry):
            raise ValueError(entry)

        feed.subscribe(fail)
        feed.subscribe(heard.append)
        feed.publish([change(1), change(2)])
        assert numbers(heard) == [1, 2]
        assert [record.event for record in caplog.records] == ["feed.listener_failed"] * 2

    def test_subscribing_while_changes_are_published(self):
        """What a newcomer missed and what he hears are together every change once."""
        feed = Feed(kept=10_000)
        beginning = feed.last_id
        publishers = [
            threading.Thread(target=lambda: [feed.publish([change(n)]) for n in range(500)]) for _ in range(4)
        ]
        results = []

        def listen():
            heard: list[Entry] = []
            missed, _ = feed.subscribe(heard.append, after=beginning)
            results.append((missed, heard))

        listeners = [threading.Thread(target=listen) for _ in range(8)]
        for thread in [*publishers, *listeners]:
            thread.start()
        for thread in [*publishers, *listeners]:
            thread.join()
        for missed, heard in results:
            counts = [int(entry.entry_id.split("-")[1]) for entry in [*missed, *heard]]
            assert counts == list(range(1, 2001))


class TestChange:
    def test_data_is_one_line(self):
        """An entry's data is JSON on one line, whatever a name holds."""
        data = Entry("a-1", change(slug="two\nlines \u2028", error="…")).data()
        assert data.splitlines() == [data]
        assert json.loads(data)["slug"] == "two\nlines \u2028"

    def test_there_and_back(self):
        """A change survives its JSON; unknown keys of a newer version are ignored."""
        one = change(7, error="why", kind="unreadable")
        assert Change.from_json(json.loads(Entry("a-1", one).data())) == one
        assert Change.from_json(one.to_json() | {"colour": "red"}) == one

    @pytest.mark.parametrize(
        "wrong",
        [
            None,
            [],
            "text",
            {},
            {"seq": None},
            {"seq": "1"},
            {"seq": True},
            {"kind": 1},
            {"slug": None},
            {"project": 3},
            {"error": {}},
            {"project_id": "garden"},
            {"session_id": 5},
            {"host_id": None},
        ],
    )
    def test_what_is_no_change(self, wrong):
        """A missing key, a value of another kind or no object at all is a ValueError."""
        tree = change().to_json() | wrong if isinstance(wrong, dict) and wrong else wrong
        with pytest.raises(ValueError, match="change"):
            Change.from_json(tree)
