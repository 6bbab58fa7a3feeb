"""What agents did is counted to the right sessions although the daemon was killed before it came to that."""

import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from sessionlib.db.crud import hosts
from sessionlib.models.base import utc_now
from tests import builders
from tests.acceptance.test_tracking import Tracked
from tests.talks import Talk, stamp

Wait = Callable[..., None]


@pytest.mark.timeout(120)
def test_a_kill_between_a_session_and_its_count(database_url: str, tmp_path: Path, wait_until: Wait) -> None:
    """Also if another daemon's heart, or this one's at its next start, has beaten on since."""
    tracked = Tracked(database_url, tmp_path)
    try:
        tracked.start()
        talk = Talk(tracked.config, tracked.shop, "conversation-one", utc_now() - timedelta(minutes=5))
        talk.says(1)
        wait_until(lambda: tracked.count("usage_records") == 1, "the answer", 20)
        wait_until(lambda: tracked.count("journal_cursors", "path = 'settled'") == 1, "the mark", 20)
        link = {"client": "claude-code", "native_id": talk.native_id, "linked_at": stamp(talk.at)}
        root = tracked.shop / "agents" / "sessions"
        builders.make_session(root, "one", builders.v2(conversations=[link]))
        wait_until(lambda: tracked.count("session_links") == 1, "the session's row")
        tracked.daemon.process.send_signal(signal.SIGKILL)
        tracked.daemon.process.wait()
        assert tracked.count("usage_records", "session_id IS NOT NULL") == 0
        with tracked.database.write() as connection:
            for host_id in hosts.last_beats(connection):
                hosts.beat(connection, host_id, utc_now() + timedelta(hours=1))
        tracked.start()
        wait_until(lambda: tracked.count("usage_records", "session_id IS NOT NULL") == 1, "the count", 20)
    finally:
        tracked.daemon.stop()
        tracked.database.close()
