"""`sessionctl` beside a daemon on the same database, and what it was told by whom."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sessionlib import __version__
from sessionlib.cli import relay
from sessionlib.control.status import ConfigState
from sessionlib.db.engine import Database
from tests.controls import House, PlayedDaemon, house
from tests.ctl import Ctl, Said
from tests.statuses import a_status


class Both(NamedTuple):
    """`sessionctl`, the daemon, where that is asked, what the relay has answered, and the status file."""

    ctl: Ctl
    daemon: PlayedDaemon
    home: House
    heard: list[relay.Told | None]
    last_words: Path

    def run(self, *words: str) -> Said:
        """Run a verb with the daemon."""
        self.heard.clear()
        return self.ctl(*words)

    def without(self, words: list[str]) -> Said:
        """Run a verb whose rows come from the database; the daemon still says how fresh they are."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(relay, "ask", lambda *_: None)
            return self.ctl(*words)

    def say(self, **changes: Any) -> None:
        """Change the daemon's last words."""
        tree = json.loads(self.last_words.read_text())
        self.last_words.write_text(json.dumps(tree | changes))


@contextmanager
def relayed(ctl: Ctl, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    """Set a daemon on its database beside a `ctl`; two hours behind, so that no answer says `now`."""
    daemon = PlayedDaemon(database)
    daemon.database_name = database.name
    daemon.stale_for(7200.0, "a file waits")
    heard: list[relay.Told | None] = []
    ask = relay.ask

    def noted(*arguments: Any) -> relay.Told | None:
        heard.append(ask(*arguments))
        return heard[-1]

    monkeypatch.setattr(relay, "ask", noted)
    monkeypatch.setattr(relay, "PATIENCE", 10.0)
    with house(daemon) as home:
        monkeypatch.setenv("SESSIOND_RUNTIME_DIR", str(home.socket.parent))
        state = ctl.home / "state"
        state.mkdir(exist_ok=True)
        words = a_status(
            version=__version__,
            socket=str(home.socket),
            host_id=str(ctl.environment["SESSIOND_HOST_ID"]),
            config=ConfigState(source="the defaults"),
        )
        (state / "status.json").write_text(json.dumps(words.to_json()))
        yield Both(ctl, daemon, home, heard, state / "status.json")
