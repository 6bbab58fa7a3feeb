"""A finding: what one check has found, how grave it is, and what to do next."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sessionlib.cli.answer import Block, Lines

OK, INFO, WARN, BAD = "ok", "info", "warn", "bad"
"""How grave a finding is: only the last one makes a command end with 1."""


class Finding(NamedTuple):
    """What one check has found.

    Attributes:
        check: Its name, which never changes.
        level: OK, INFO, WARN or BAD.
        says: A sentence.
        next: The next command or step; empty where there is nothing to do.
        number: How many there are of what it counts; None where it counts nothing.
        examples: A few of them.
        facts: What it is drawn from, as JSON values: the very part of the daemon's status, where it has one.
    """

    check: str
    level: str
    says: str
    next: str = ""
    number: int | None = None
    examples: tuple[str, ...] = ()
    facts: Any = None

    @property
    def row(self) -> dict[str, Any]:
        """The finding as JSON values."""
        row = self._asdict() | {"examples": list(self.examples)}
        row["count"] = row.pop("number")
        return row


def exit_code(findings: Sequence[Finding]) -> int:
    """Return what a command ends with that has found this."""
    return 1 if any(finding.level == BAD for finding in findings) else 0


def blocks(findings: Sequence[Finding]) -> list[Block]:
    """Return findings for people, each with its examples and its next step below it."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<5} {finding.check}: {finding.says}")
        lines += [f"      {example}" for example in finding.examples]
        if finding.next:
            lines.append(f"      next: {finding.next}")
    return [Lines(lines)]
