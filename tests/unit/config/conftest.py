"""A home without configuration, and files to load."""

from pathlib import Path

import pytest

from tests.configs import Write


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any configuration, so that no test meets the machine's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CREDENTIALS_DIRECTORY", "PGPASSWORD"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CONFIG", "DATABASE_URL", "STATE_DIR", "RUNTIME_DIR", "HOST_ID"):
        monkeypatch.delenv(f"SESSIOND_{name}", raising=False)
    for name in ("CONFIG_HOME", "STATE_HOME", "RUNTIME_DIR"):
        monkeypatch.delenv(f"XDG_{name}", raising=False)
    return tmp_path


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration file and return its path."""

    def made(text: str, mode: int = 0o644) -> Path:
        path = tmp_path / "given.toml"
        path.write_text(text)
        path.chmod(mode)
        return path

    return made
