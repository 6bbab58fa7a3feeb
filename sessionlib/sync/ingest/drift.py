"""Fields that a client left out of its events, as findings: only of one that is known to be new enough."""

import logging
import re
from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db.crud import findings
from sessionlib.db.crud.findings import Finding
from sessionlib.sync.ingest.drafts import DRIFT
from sessionlib.sync.ingest.joining import Observed
from sessionlib.sync.ingest.standing import value

_LOG = logging.getLogger("sessionlib.ingest")

KIND = "contract-drift"
_NUMBER = re.compile(r"\d{1,9}")


def findings_of(client: str, known: Observed, told: Observed, whole: Observed) -> Iterator[Finding]:
    """Yield what a batch brings to light of missing fields. Pure.

    The version is told by transcripts, mostly after the hooks: it throws light on what was seen before.

    Args:
        client: The coding client.
        known: What was stored of the conversation.
        told: What the batch observed of it.
        whole: Both together.
    """
    version = value(whole, "version")
    is_news = version is not None and value(known, "version") is None
    for name in sorted(whole if is_news else told):
        if not name.startswith(DRIFT):
            continue
        since, _, field = name.removeprefix(DRIFT).partition(":")
        if since and (version is None or _numbers(version) < _numbers(since)):
            continue
        event, _, lacking = field.partition(".")
        of_version = "" if version is None else f" {version}"
        yield Finding(
            KIND,
            f"{client} {field}",
            f"{client}{of_version} said {event} without {lacking}, and what it tells is not recorded",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(version)[:3])


def put(connection: Connection, project_id: UUID, found: Iterator[Finding]) -> None:
    """Record findings, or that they were seen again; what is new in the project is logged."""
    for finding in found:
        if (None, finding.subject) not in findings.subjects_of(connection, KIND):
            _LOG.warning(
                "the client has changed what its hooks say",
                extra={
                    "event": "ingest.drift",
                    "fields": {"subject": finding.subject, "finding": finding.message},
                },
            )
        findings.open_finding(connection, project_id, None, finding)
