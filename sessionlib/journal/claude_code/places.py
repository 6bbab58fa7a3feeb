"""Where Claude Code keeps its settings and transcripts."""

import os
from collections.abc import Mapping
from pathlib import Path

CONFIG_VARIABLE = "CLAUDE_CONFIG_DIR"


def config_folder(environ: Mapping[str, str]) -> Path:
    """Return the client's own folder.

    Raises:
        RuntimeError: There is no home folder.
    """
    named = environ.get(CONFIG_VARIABLE, "")
    home = Path(named or "~/.claude").expanduser()
    return home.absolute()


def user_settings(environ: Mapping[str, str]) -> Path:
    """Return the settings of this user, for all projects.

    Raises:
        RuntimeError: There is no home folder.
    """
    return config_folder(environ) / "settings.json"


def project_settings(folder: Path) -> Path:
    """Return a project's settings of this machine alone: what we write names programs by their whole path.

    The client looks for them at the top of the repository, wherever below it was started.
    """
    top = folder.absolute()
    for parent in (top, *top.parents):
        if os.path.lexists(parent / ".git"):
            top = parent
            break
    return top / ".claude" / "settings.local.json"


def shared_settings(local: Path) -> Path:
    """Return the settings that a project shares with others, beside its local ones."""
    return local.with_name("settings.json")
