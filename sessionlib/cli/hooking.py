"""The client's settings file: read, changed by us as little as can be, and put in place whole."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from sessionlib.cli import placing
from sessionlib.errors import SessionlibError
from sessionlib.journal.claude_code.events import Version, parse_version
from sessionlib.journal.claude_code.settings import BadSettingsError, Settings

BACKUP_ENDING = ".before-sessiond"
_MOST = 8 * 1024 * 1024
_PATIENCE = 10.0
_CLIENT = "claude"
_HOOK = "sessionlib.hooks.entry"


class SettingsFileError(SessionlibError):
    """The client's settings cannot be read or written; they are as they were."""


def command(spool: Path) -> list[str]:
    """Return the program that a hook runs, without the event: this Python, and what it cannot do without."""
    # Found, not imported: it is a program of its own.
    found = find_spec(_HOOK)
    if found is None or found.origin is None:
        raise AssertionError(f"{_HOOK} is not installed")
    return [sys.executable, "-I", "-S", str(Path(found.origin).resolve()), "--spool", str(spool)]


def client_version() -> Version | None:
    """Return the version of the client in the search path; None without one, or if it does not tell."""
    program = shutil.which(_CLIENT)
    if program is None:
        return None
    try:
        told = subprocess.run(  # noqa: S603 - the client itself, no shell
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(told.stdout)


def read(path: Path) -> Settings:
    """Return the settings, empty without a file.

    Raises:
        SettingsFileError: It cannot be read, or is not what the client takes.
    """
    content = _content(path)
    if content is None or not content.strip():
        return {}
    try:
        settings = json.loads(content)
    except ValueError as error:
        raise _unusable(path, f"it is not JSON ({error})") from error
    except RecursionError as error:
        raise _unusable(path, "it is nested too deeply") from error
    if not isinstance(settings, dict):
        raise _unusable(path, "it is not a JSON object")
    return settings


def change(
    path: Path,
    edit: Callable[[Settings], Settings],
    *,
    within: Path | None = None,
    dry_run: bool = False,
) -> bool:
    """Change settings and put them in place whole; what stood there is kept beside it.

    Links are followed: people keep their settings elsewhere.

    Args:
        path: The settings file.
        edit: Returns what they should be.
        within: The folder that links must not leave: a project's links are whoever's the project is.
        dry_run: Change nothing.

    Returns:
        Whether there was anything to change; a file that says the same is not written, because its client
        reads it again whenever it is.

    Raises:
        SettingsFileError: It cannot be read or written, is not what the client takes, lies elsewhere, or has
            been changed meanwhile.
    """
    target = _target(path, within)
    before = _content(target)
    old = read(target)
    try:
        new = edit(old)
    except BadSettingsError as error:
        raise _unusable(path, str(error)) from error
    if new == old:
        return False
    if not dry_run:
        _replace(target, before, json.dumps(new, indent=2, ensure_ascii=False) + "\n")
    return True


def _target(path: Path, within: Path | None) -> Path:
    """Return the file that is meant, all links followed."""
    # Not Path.resolve, which raises for links that lead in circles.
    target = Path(os.path.realpath(path))
    if within is not None and not target.is_relative_to(os.path.realpath(within)):
        raise SettingsFileError(
            f"{path} is left as it is: a link leads out of the project, to {target}",
            hint="put a file and a folder in the place of links, or leave --project away: "
            "your own settings may lie anywhere",
        )
    return target


def _content(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsFileError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > _MOST:
        raise _unusable(path, "it is too large")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unusable(path, "it is not UTF-8") from error


def _replace(path: Path, before: str | None, text: str) -> None:
    def keep() -> None:
        if before is not None:
            # Not copied into what stands there: that may be a link.
            placing.put(path.with_name(path.name + BACKUP_ENDING), path.read_bytes(), mode=mode)
        if _content(path) != before:
            raise SettingsFileError(f"{path} was changed meanwhile", hint="run the command again")

    try:
        mode = None if before is None else path.stat().st_mode & 0o777
        placing.put(path, text.encode("utf-8", "surrogatepass"), mode=mode, before=keep)
    except OSError as error:
        raise SettingsFileError(f"cannot write {path}: {error.strerror}") from error


def _unusable(path: Path, why: str) -> SettingsFileError:
    return SettingsFileError(
        f"{path} is left as it is: {why}", hint="mend the file, then run the command again"
    )
