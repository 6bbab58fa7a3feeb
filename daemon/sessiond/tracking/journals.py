"""`Journals`: what the tracker reads, and what reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sessionlib.journal.adapter import Adapter
from sessionlib.journal.spool import Spool
from sessionlib.sync.ingest.deliveries import Deliveries
from sessionlib.sync.ingest.ingester import Ingester
from sessionlib.sync.ingest.transcripts import Transcripts


@dataclass(frozen=True, slots=True)
class Journals:
    """What is read, and what reads it; used by one thread at a time.

    Attributes:
        spool: Where hooks leave their deliveries; None when they are not to be read.
        folders: The configuration folders whose transcripts are read, with their client's adapter.
        ingester: Stores.
        deliveries: Reads the spool.
        transcripts: Reads transcripts.
    """

    spool: Spool | None
    folders: Mapping[Path, Adapter]
    ingester: Ingester
    deliveries: Deliveries | None
    transcripts: Transcripts
