"""The verbs, one family a module. What a verb needs it imports when it runs."""

from sessionlib.cli.verbs import (
    db,
    events,
    projects,
    query,
    reload,
    rescan,
    service,
    session,
    sessions,
    show,
    status,
    sync,
)

VERBS = (
    status.add,
    projects.add,
    sessions.add,
    show.add,
    query.add,
    events.add,
    sync.add,
    rescan.add,
    session.add,
    db.add,
    service.add,
    reload.add,
)
"""Functions that add a verb to the parser, given the subparsers and the parent of the common options."""
