"""Configuration: which machine this is."""

import stat
from pathlib import Path
from uuid import uuid4

import pytest

from sessionlib.config import Config, load, machine
from sessionlib.errors import ConfigError
from sessionlib.models import derived_id


@pytest.fixture
def ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this machine's own id is looked for; nothing is there."""
    path = tmp_path / "machine-id"
    monkeypatch.setattr(machine, "MACHINE_IDS", (path, tmp_path / "dbus-id"))
    return path


def test_host_id_that_is_configured(ids: Path) -> None:
    """A configured id wins over the machine's, and the environment's over the file's."""
    ids.write_text("0" * 32)
    wanted = uuid4()
    assert load(environ={"SESSIOND_HOST_ID": str(wanted)}).host_id() == wanted
    assert load(environ={}, overrides={"daemon": {"host_id": wanted}}).host_id() == wanted


def test_host_id_of_the_machine(ids: Path, tmp_path: Path) -> None:
    """The machine's id gives a derived one, the same each time, that does not show it."""
    ids.write_text("0123456789abcdef0123456789abcdef\n")
    found = load(environ={}).host_id()
    assert found == derived_id("host", "0123456789abcdef0123456789abcdef")
    ids.unlink()
    (tmp_path / "dbus-id").write_text("0123456789abcdef0123456789abcdef\n")
    assert load(environ={}).host_id() == found


@pytest.mark.parametrize("content", [None, b"", b"uninitialized\n", b"\xff\xfe", b"too short"])
def test_host_id_that_is_drawn_and_kept(ids: Path, tmp_path: Path, content: bytes | None) -> None:
    """Where the machine has none, one is drawn and kept in the state folder, the owner's alone."""
    if content is not None:
        ids.write_bytes(content)
    found = load(environ={"SESSIOND_STATE_DIR": str(tmp_path / "state")})
    drawn = found.host_id()
    assert found.host_id() == drawn
    assert (tmp_path / "state" / "host-id").read_text() == f"{drawn}\n"
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "host-id").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["host-id"]


def test_host_id_that_another_process_kept_first(
    ids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two processes that draw at once both use the id that was kept."""
    first = uuid4()
    path = tmp_path / "state" / "host-id"
    keep = machine.keep

    def late(where: Path, text: str) -> None:
        keep(where, f"{first}\n")
        keep(where, text)

    monkeypatch.setattr(machine, "keep", late)
    assert load(environ={"SESSIOND_STATE_DIR": str(tmp_path / "state")}).host_id() == first
    assert path.read_text() == f"{first}\n"


@pytest.mark.parametrize("content", ["anvil", ""])
def test_kept_host_id_that_is_none(ids: Path, tmp_path: Path, content: str) -> None:
    """A kept id that is not one is not overwritten but named."""
    (tmp_path / "host-id").write_text(content)
    with pytest.raises(ConfigError, match="does not hold a UUID") as caught:
        load(environ={"SESSIOND_STATE_DIR": str(tmp_path)}).host_id()
    assert caught.value.source == str(tmp_path / "host-id")


def test_host_id_that_cannot_be_kept(ids: Path, tmp_path: Path) -> None:
    """Where the state folder cannot be made, the error says how to do without."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot keep this machine's id") as caught:
        load(environ={"SESSIOND_STATE_DIR": str(tmp_path / "file" / "state")}).host_id()
    assert "SESSIOND_HOST_ID" in str(caught.value.hint)


def test_host_name() -> None:
    """A machine has a name for people."""
    assert Config().host_name()
