"""The status file: whole or not at all, private, and no trouble when it cannot be written."""

import dataclasses
import json
import logging
from pathlib import Path

import pytest

from sessiond.statusfile import StatusFile
from sessionlib.control.status import ConfigState, DatabaseState, QueueState, Status
from tests.statuses import a_status


def test_what_is_written_can_be_read_back(tmp_path: Path) -> None:
    """The file holds the snapshot, 0600, and nothing else is left in the folder."""
    status = a_status(state="ready")
    StatusFile(tmp_path / "status.json").write(status)
    path = tmp_path / "status.json"
    assert Status.from_json(json.loads(path.read_text())) == status
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_a_folder_that_is_gone_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The daemon goes on; the trouble is one line, and another one after it had been mended."""
    caplog.set_level(logging.INFO)
    folder = tmp_path / "gone"
    file = StatusFile(folder / "status.json")
    file.write(a_status())
    file.write(a_status())
    assert len(caplog.records) == 1
    folder.mkdir()
    file.write(a_status())
    assert (folder / "status.json").exists()
    (folder / "status.json").unlink()
    folder.rmdir()
    file.write(a_status())
    assert len(caplog.records) == 2


def test_an_older_reader_understands_a_newer_status() -> None:
    """Keys that this version does not know are left out, at every depth."""
    status = a_status()
    tree = status.to_json()
    tree["colour"] = "green"
    tree["database"]["colour"] = "green"
    assert Status.from_json(tree) == status


@pytest.mark.parametrize("missing", ["pid", "database", "queue", "reasons"])
def test_what_is_no_status_is_refused(missing: str) -> None:
    """A tree without what every status has is no status."""
    tree = a_status().to_json()
    del tree[missing]
    with pytest.raises(ValueError, match="not the status"):
        Status.from_json(tree)


def test_every_part_of_a_status_survives_the_way_there_and_back() -> None:
    """Nested snapshots come back as what they were."""
    status = a_status()
    back = Status.from_json(json.loads(json.dumps(status.to_json())))
    assert isinstance(back.database, DatabaseState)
    assert isinstance(back.queue, QueueState)
    assert isinstance(back.config, ConfigState)
    assert dataclasses.asdict(back) == dataclasses.asdict(status)
