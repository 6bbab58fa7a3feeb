"""Trackers of the journals of a house, as tests start them.

A test module imports the fixtures it uses.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from sessiond.tracking.journals import Journals
from sessiond.tracking.tracker import Tracker
from sessionlib.config import Config, DatabaseConfig
from tests.ingesting import House


class Trackers:
    """Starts trackers, and stops them all.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        self._config = Config(database=DatabaseConfig(url=url))
        self._started: list[Tracker] = []

    def __call__(self, house: House, **more: Any) -> Tracker:
        """Start a tracker of a house's journals."""
        journals = Journals(
            spool=house.spool,
            folders={house.config: house.adapter},
            ingester=house.ingester,
            deliveries=house.deliveries,
            transcripts=house.transcripts,
        )
        self._started.append(Tracker(house.database, house.host.host_id, journals, self._config, **more))
        self._started[-1].start()
        return self._started[-1]

    def stop(self) -> None:
        """Stop all that were started."""
        for tracker in self._started:
            tracker.stop(10.0)


@pytest.fixture(name="start")
def start_fixture(database_url: str) -> Iterator[Trackers]:
    """Start trackers of a house's journals; they are stopped at the end."""
    trackers = Trackers(database_url)
    yield trackers
    trackers.stop()
