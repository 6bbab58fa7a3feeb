"""`sessionctl doctor` for tests: a home of its own to look at, and what is found there.

A test module imports the fixtures it uses, and those of `tests.ctl` they stand on.
"""

from typing import Any
from uuid import UUID

import pytest

from tests.ctl import Ctl

HOST = UUID("00000000-0000-4000-8000-000000000001")
"""The host's id, as `Ctl` sets it."""


def _at_home(ctl: Ctl) -> Ctl:
    """Give `sessionctl` a home of its own, and a client of a known version in the search path."""
    program = ctl.home / "bin" / "claude"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho '2.1.330 (Claude Code)'\n")
    program.chmod(0o755)
    for name, value in (("HOME", ctl.home), ("PATH", program.parent)):
        ctl.monkeypatch.setenv(name, str(value))
    ctl.monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    (ctl.home / ".claude").mkdir()
    return ctl


@pytest.fixture(name="ward")
def ward_fixture(bare_ctl: Ctl) -> Ctl:
    """`sessionctl` at home, with a state folder and nothing in it."""
    (bare_ctl.home / "state").mkdir(0o700)
    return _at_home(bare_ctl)


@pytest.fixture(name="clinic")
def clinic_fixture(ctl: Ctl) -> Ctl:
    """`sessionctl` at home, with a database of each kind."""
    return _at_home(ctl)


def examined(ctl: Ctl, *words: object) -> dict[str, list[dict[str, Any]]]:
    """Return the findings by their check."""
    said = ctl("doctor", *words, "--json")
    assert said.out, said
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in said.object["rows"]:
        rows.setdefault(row["check"], []).append(row)
    is_bad = any(row["level"] == "bad" for found in rows.values() for row in found)
    assert said.code == int(is_bad), said
    return rows


def levels(ctl: Ctl, check: str, *words: object) -> list[str]:
    """Return the levels of a check's findings."""
    return [row["level"] for row in examined(ctl, *words).get(check, [])]
