"""Each import contract is seen to fail: a violation is planted in a copy, and the linter must say so."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent

PLANTS = {
    "Imports only point down": ("sessionlib/models/base.py", "import sessionlib.config"),
    "Every sessionlib module has a floor": ("sessionlib/attic/__init__.py", ""),
    "Inside the process": ("daemon/sessiond/lock.py", "import sessiond.service"),
    "Inside the log": ("daemon/sessiond/logs/text.py", "import sessiond.logs.picture"),
    "Asking a daemon for its status": ("sessionlib/control/client.py", "import sessionlib.config"),
    "A daemon's answer is printed": ("sessionlib/cli/relay.py", "import sessionlib.db.engine"),
    "The filesystem side knows no database": ("sessionlib/state/layout.py", "import sqlite3"),
    "Journals are read without a database": ("sessionlib/journal/spool.py", "import sessionlib.state.layout"),
    "What a client waits for": ("sessionlib/hooks/entry.py", "import sessionlib.errors"),
    "The database side opens no session files": ("sessionlib/db/types.py", "import sessionlib.state.layout"),
    "The library starts no watcher": ("sessionlib/runtime.py", "import watchdog"),
    "Only the database side touches tables": ("sessionlib/sync/places.py", "import sessionlib.db.tables"),
    "Only the doors know a command line": ("sessionlib/sync/places.py", "import argparse"),
    "No cycles between siblings": ("sessionlib/sync/places.py", "import sessionlib.sync.mirror"),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages and of the contracts."""
    folder = tmp_path_factory.mktemp("house")
    for name in ("sessionlib", "daemon"):
        shutil.copytree(HOUSE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HOUSE / "pyproject.toml", folder)
    return folder


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the import linter on the copy."""
    code = (
        "import sys; sys.path[:0] = ['.', 'daemon']; "
        "from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    return subprocess.run(
        [sys.executable, "-P", "-c", code, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_contracts_hold(copy: Path) -> None:
    """Without a plant every contract is kept."""
    done = lint(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("contract", PLANTS)
def test_a_planted_violation_breaks_its_contract(copy: Path, contract: str) -> None:
    """The contract named fails when its rule is broken."""
    name, line = PLANTS[contract]
    path = copy / name
    before = path.read_text() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{before or ''}\n{line}\n")
    try:
        done = lint(copy)
    finally:
        if before is None:
            shutil.rmtree(path.parent)
        else:
            path.write_text(before)
    assert done.returncode != 0
    broken = [text for text in done.stdout.splitlines() if " BROKEN" in text]
    assert any(text.startswith(contract) for text in broken), done.stdout
