"""What the agents did: the thread that brings the hook spool and the transcripts into the database."""

from sessiond.tracking.tracker import Tracker
from sessiond.tracking.wiring import make_tracker

__all__ = ["Tracker", "make_tracker"]
