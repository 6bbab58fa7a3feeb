"""Arguments → configuration → logs → lock → service → exit code."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sessiond import logs
from sessiond.lock import InstanceLock
from sessiond.service import Service
from sessiond.signals import StopSignals
from sessionlib import __version__, config
from sessionlib.config import Config
from sessionlib.errors import SessionlibError, UsageError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sessiond", description="Mirror coding-agent session files into a database, live."
    )
    parser.add_argument("--version", action="version", version=f"sessiond {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser("run", help="watch folders in the foreground until TERM or INT")
    run.add_argument("roots", nargs="*", type=Path, metavar="ROOT", help="folders to look under for projects")
    run.add_argument("--config", type=Path, metavar="FILE", help="configuration file")
    run.add_argument("--database", metavar="URL", help="sqlite:////path or postgresql://user@host/name")
    run.add_argument("--state-dir", type=Path, metavar="DIR", help="folder for the lock and the SQLite file")
    run.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    return parser


def _config(arguments: argparse.Namespace) -> Config:
    overrides: dict[str, dict[str, Any]] = {"watch": {}, "database": {}, "daemon": {}}
    if arguments.roots:
        overrides["watch"]["roots"] = tuple(arguments.roots)
    if arguments.database:
        config.refuse_password(arguments.database)
        overrides["database"]["url"] = arguments.database
    if arguments.state_dir:
        overrides["daemon"]["state_dir"] = arguments.state_dir
    if arguments.log_level:
        overrides["daemon"]["log_level"] = arguments.log_level
    loaded = config.load(arguments.config, overrides=overrides)
    if not loaded.watch.roots:
        raise UsageError(
            "no folder to watch",
            hint="name one: sessiond run ~/code, or set watch.roots in the configuration",
        )
    for root in loaded.watch.roots:
        if root.exists() and not root.is_dir():
            raise UsageError(f"{root} is not a folder", hint="name the folder that holds your projects")
    return loaded


def _run(arguments: argparse.Namespace) -> int:
    os.umask(0o077)
    signals = StopSignals()
    signals.install()
    loaded = _config(arguments)
    logs.set_up(loaded.daemon.log_level)
    with InstanceLock(loaded.state_dir):
        Service(loaded, signals.stop).run()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon's command line; returns the exit code of ``design.md`` section 10."""
    try:
        code = _run(_parser().parse_args(arguments))
    except SessionlibError as error:
        print(f"sessiond: {error.message}", file=sys.stderr)  # noqa: T201 - the door speaks to a person
        if error.hint:
            print(f"  hint: {error.hint}", file=sys.stderr)  # noqa: T201
        code = error.exit_code
    return code


def entry() -> None:
    """Run `main` and leave the process for good.

    A worker that hangs in the database must not keep the process alive after the drain deadline, so the
    interpreter's own end, which joins and finalises, is not waited for.
    """
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
