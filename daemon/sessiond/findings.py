"""What comparisons have found, told to the log."""

import logging

from sessiond.logs import event
from sessionlib.sync.reconcile import Report

_LOG = logging.getLogger("sessiond.rounds")


class Findings:
    """Remembers which problems were told; used by one thread."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], str] = {}

    def tell(self, report: Report, reason: str) -> None:
        """Log what a comparison found: aloud if it mended something, and each new problem once."""
        changed = report.ticket.total
        mended = changed or report.absent or report.tombstoned or report.held
        path = str(report.place.path)
        event(
            _LOG,
            logging.INFO if mended else logging.DEBUG,
            "reconcile.done",
            "reconciled",
            root=path,
            reason=reason,
            sessions=report.total,
            queued=changed,
            absent=report.absent,
            tombstoned=report.tombstoned,
            held=report.held,
        )
        problems = {(path, name): problem for name, problem in report.problems}
        for key, problem in problems.items():
            event(
                _LOG,
                logging.DEBUG if self._told.get(key) == problem else logging.WARNING,
                "reconcile.unlisted",
                "cannot list a folder; nothing in it is taken for gone",
                root=path,
                folder=key[1],
                error=problem,
            )
        self._told = {key: told for key, told in self._told.items() if key[0] != path} | problems
