"""The verbs, one family a module. What a verb needs it imports when it runs."""

from sessionlib.cli.verbs import db, projects, query, session, sessions, show, sync

VERBS = (projects.add, sessions.add, show.add, query.add, sync.add, session.add, db.add)
"""Functions that add a verb to the parser, given the subparsers and the parent of the common options."""
