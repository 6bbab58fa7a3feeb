"""Whether the daemon could start with a configuration: what only shows beside the disk.

It opens no database and makes no file. Whoever starts the daemon finds the same; who checks or reloads a
configuration must find it before.
"""

# Not Path's questions: they raise when a folder on the way may not be entered.
# ruff: noqa: PTH110, PTH112

import os
import stat
from collections.abc import Iterator

from sessionlib.config import Config
from sessionlib.errors import ConfigError


def unfit(config: Config) -> Iterator[ConfigError]:
    """Yield what a start would refuse although each setting is right by itself; looks at the disk."""
    from sessionlib.db.engine import Database  # noqa: PLC0415 - not needed to refuse a file

    for root in config.watch.roots:
        try:
            is_folder = stat.S_ISDIR(root.stat().st_mode)
        except OSError:
            continue  # A warning.
        if not is_folder:
            origin = config.origin("watch.roots")
            yield ConfigError(f"{origin}: watch.roots: {root} is not a folder", key="watch.roots")
    try:
        Database(config.database_url).close()
    except ConfigError as error:
        origin = config.origin("database.url")
        yield ConfigError(f"{origin}: database.url: {error.message}", key=error.key, hint=error.hint)
    yield from _misplaced(config)
    if config.control.listen and config.control.token_file is not None:
        try:
            config.control_token()
        except ConfigError as error:
            yield error


def _misplaced(config: Config) -> Iterator[ConfigError]:
    """Folders and files whose place is taken by something else."""
    places = config.locations
    for key, path in (("daemon.state_dir", places.state_dir), ("daemon.runtime_dir", places.runtime_dir)):
        if os.path.exists(path) and not os.path.isdir(path):
            yield ConfigError(f"{config.origin(key)}: {key}: {path} is not a folder", key=key)
    if config.log.file is not None and os.path.isdir(config.log.file):
        yield ConfigError(
            f"{config.origin('log.file')}: log.file: {config.log.file} is a folder", key="log.file"
        )
