"""Calls of `sessionctl` for tests: in this process, with what it printed and its exit code.

A test module imports the fixtures it uses.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sessionlib.cli.main import main
from sessionlib.db.engine import Database
from tests import builders


class Said(NamedTuple):
    """What one call has said."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """The one object of ``--json``."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def rows(self) -> list[Any]:
        """The rows of ``--json``, the call having gone well."""
        assert (self.code, list(self.object)[:3]) == (0, ["as_of", "stale", "rows"]), self
        rows: list[Any] = self.object["rows"]
        return rows


class Ctl:
    """Runs `sessionctl` with a database and a state folder of its own."""

    def __init__(
        self, url: str | None, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.home = home
        self.code = home / "code"
        self.code.mkdir()
        self._capsys = capsys
        self.monkeypatch = monkeypatch
        self.environment: Mapping[str, str | None] = {
            "SESSIOND_DATABASE_URL": url,
            "SESSIOND_STATE_DIR": str(home / "state"),
            "SESSIOND_HOST_ID": "00000000-0000-4000-8000-000000000001",
            "SESSIOND_CONFIG": None,
            "SESSIOND_SESSION": None,
            "SESSIONCTL_TRACEBACK": None,
            "NO_COLOR": None,
            "XDG_CONFIG_HOME": str(home / "config"),
        }
        for name, value in self.environment.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        monkeypatch.chdir(home)

    def __call__(self, *words: object) -> Said:
        self._capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = self._capsys.readouterr()
        return Said(code, out, err)

    def json(self, *words: object) -> list[Any]:
        """Return the rows of a call that goes well."""
        return self(*words, "--json").rows

    def project(self, name: str, sessions: Mapping[str, Any]) -> Path:
        """Make a project in the code folder."""
        return builders.make_project(self.code / name, sessions)


def shop() -> dict[str, Any]:
    """Sessions in every phase; slugs say what is special about them."""
    return {
        "fresh": builders.v2(session_id="fresh"),
        "half-built": builders.v2_building(
            session_id="half-built", topic="Search box", description="Find things by name."
        ),
        "all-built": builders.v2_building(5, (1, 2, 3, 4, 5), session_id="all-built"),
        "closed": builders.v2(session_id="closed", current_phase="complete", status="complete"),
        "renamed": builders.v1_3(),
        "pond": builders.v1_1(session_id="pond"),
    }


@pytest.fixture(name="ctl")
def ctl_fixture(
    mirror_database: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Ctl:
    """`sessionctl` on an empty database, once of each kind."""
    url = mirror_database.url.render_as_string(hide_password=False)
    return Ctl(url, tmp_path, capsys, monkeypatch)


@pytest.fixture(name="bare_ctl")
def bare_ctl_fixture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Ctl:
    """`sessionctl` without a database: SQLite in a state folder that does not exist."""
    return Ctl(None, tmp_path, capsys, monkeypatch)


@pytest.fixture(name="mirrored")
def mirrored_fixture(ctl: Ctl) -> Ctl:
    """`sessionctl` with two projects mirrored: `shop` (see there) and `garden`, a wall."""
    ctl.project("shop", shop())
    ctl.project("garden", {"wall": builders.v2_building(session_id="wall")})
    said = ctl("sync", ctl.code)
    assert said.code == 0, said
    return ctl
