"""The house rules that no linter knows."""

import ast
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
CODE = sorted([*HOUSE.glob("sessionlib/**/*.py"), *HOUSE.glob("daemon/**/*.py")])
TESTS = sorted(HOUSE.glob("tests/**/*.py"))


@pytest.mark.parametrize("path", [*CODE, *TESTS], ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_module_is_longer_than_400_lines(path: Path) -> None:
    """A module that needs more is more than one noun."""
    assert len(path.read_text().splitlines()) <= 400


def test_daemon_and_systemd_are_folders_not_packages() -> None:
    """python-daemon owns the import name `daemon`; an `__init__.py` there would hide it."""
    assert not (HOUSE / "daemon" / "__init__.py").exists()
    assert not (HOUSE / "systemd" / "__init__.py").exists()


def test_python_daemon_is_what_import_daemon_finds() -> None:
    """`import daemon` gives python-daemon, even from the checkout."""
    import daemon  # noqa: PLC0415 - the import is the test

    assert daemon.DaemonContext is not None


def test_only_doors_print() -> None:
    """The library logs or raises; printing is for the command lines."""
    doors = {"sessionlib/cli", "daemon/sessiond/main.py", "daemon/sessiond/running.py"}
    for path in CODE:
        name = str(path.relative_to(HOUSE))
        if any(name.startswith(door) for door in doors):
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [call for call in calls if getattr(call.func, "id", None) == "print"], name
