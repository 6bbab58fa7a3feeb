"""Wires a tracker: which journals are read, and what happens to what they say."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sessiond.shortage import Shortage
from sessiond.tracking.journals import Journals
from sessiond.tracking.tracker import Tracker
from sessionlib.config import Config
from sessionlib.journal.adapter import Adapter
from sessionlib.journal.adapters import ADAPTERS
from sessionlib.journal.spool import Spool
from sessionlib.redaction import Redactor
from sessionlib.runtime import Runtime
from sessionlib.sync.ingest.deliveries import Deliveries
from sessionlib.sync.ingest.ingester import Ingester
from sessionlib.sync.ingest.owners import Owners
from sessionlib.sync.ingest.prices import pricer
from sessionlib.sync.ingest.transcripts import Transcripts


def make_tracker(
    config: Config,
    runtime: Runtime,
    shortage: Shortage,
    refuse: Callable[[], None],
    settled_before: Callable[[], datetime | None],
) -> Tracker | None:
    """Return a tracker as configured, not started; None when nothing is to be read.

    Args:
        config: The settings.
        runtime: Open.
        shortage: Of what inotify gives.
        refuse: Raises a `DatabaseError` while nothing may be written.
        settled_before: Tells until when what agents did was counted to the right sessions.
    """
    tracking = config.tracking
    if not tracking.hooks and not tracking.transcripts:
        return None
    database, host = runtime.database, runtime.host
    clean = Redactor(config.secrets()).clean
    ingester = Ingester(
        database,
        Owners(database, host, runtime.registrar),
        host,
        price=pricer(config.prices),
        started_in=lambda client, transcript, cwd: ADAPTERS[client].started_in(transcript, cwd),
    )
    spool = Spool(config.locations.spool) if tracking.hooks else None
    bodies = tracking.body_most if tracking.bodies else 0

    def is_pressed() -> bool:
        return runtime.queue.stats().oldest is not None

    return Tracker(
        database,
        host.host_id,
        Journals(
            spool=spool,
            folders=_folders(config) if tracking.transcripts else {},
            ingester=ingester,
            deliveries=None if spool is None else Deliveries(spool, ingester, ADAPTERS, clean, bodies=bodies),
            transcripts=Transcripts(
                database, ingester, host.host_id, clean, bodies=bodies, is_pressed=is_pressed
            ),
        ),
        config,
        shortage=shortage,
        refuse=refuse,
        settled_before=settled_before,
    )


def _folders(config: Config) -> dict[Path, Adapter]:
    given = config.tracking.client_folders
    if given:
        # Of which client a folder is, its layout tells; there is one client so far.
        return dict.fromkeys(given, next(iter(ADAPTERS.values())))
    try:
        return {adapter.default_folder(os.environ): adapter for adapter in ADAPTERS.values()}
    except RuntimeError:
        return {}
