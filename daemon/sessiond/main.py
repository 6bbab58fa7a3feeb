"""The daemon's command line.

Arguments and the instance lock come first, and need next to nothing imported: one of many that are started at
once must not spend a second of a processor to learn that it is not needed.
"""

import argparse
import contextlib
import gc
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sessiond.detach import ensure_standard_streams
from sessiond.lock import InstanceLock
from sessiond.stopping import stop_daemon
from sessiond.telling import tell
from sessionlib import __version__
from sessionlib.arguments import Parser, a_path, filled
from sessionlib.control import faults
from sessionlib.control.finding import Unreadable, find
from sessionlib.errors import SessionlibError, UsageError, advice, nowhere, printable
from sessionlib.locations import absolute, locate

_EPILOG = """\
signals: TERM and INT stop, twice: at once; HUP reloads the configuration; USR1 rescans; USR2 dumps all stacks

exit codes: 0 ok, 2 usage, 3 no daemon to stop, 69 database unreachable, 75 another instance, 78 configuration
"""


_INTERRUPTED = 130

_LONGEST_WAIT = 86400
"""Seconds that `stop` may be told to wait."""


def _parser() -> Parser:
    parser = Parser(
        prog="sessiond",
        description="Mirror coding-agent session files into a database, live.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sessiond {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_run(verbs)
    _add_stop(verbs)
    _add_check(verbs)
    parser.sign()
    return parser


def _add_run(verbs: Any) -> None:
    run = verbs.add_parser("run", help="watch folders until TERM or INT")
    run.add_argument(
        "roots", nargs="*", type=a_path, metavar="ROOT", help="folders to look under for projects"
    )
    run.add_argument("--config", type=a_path, metavar="FILE", help="configuration file")
    run.add_argument(
        "--database", type=filled, metavar="URL", help="sqlite:////path or postgresql://user@host/name"
    )
    run.add_argument(
        "--state-dir", type=a_path, metavar="DIR", help="folder for the lock and the SQLite file"
    )
    run.add_argument("--runtime-dir", type=a_path, metavar="DIR", help="folder for the control socket")
    run.add_argument("--listen", metavar="HOST:PORT", help="serve the control routes on a loopback port too")
    run.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    run.add_argument("--log-format", choices=["logfmt", "json"])
    run.add_argument("--log-file", type=a_path, metavar="FILE", help="log there, not to standard error")
    run.add_argument("--detach", action="store_true", help="run in the background; says whether it came up")
    run.add_argument("--allow-root", action="store_true", help="run although the user is root")
    run.set_defaults(run=_run)


def _add_stop(verbs: Any) -> None:
    stop = verbs.add_parser("stop", help="stop the daemon of a state folder")
    stop.add_argument("--config", type=a_path, metavar="FILE", help="configuration file")
    stop.add_argument("--state-dir", type=a_path, metavar="DIR", help="its state folder")
    stop.add_argument(
        "--timeout", type=_seconds, default=30.0, metavar="S", help="wait at most S seconds for its end (30)"
    )
    stop.set_defaults(run=_stop)


def _add_check(verbs: Any) -> None:
    check = verbs.add_parser("check-config", help="check the configuration and show what it sets")
    check.add_argument("--config", type=a_path, metavar="FILE", help="configuration file")
    check.add_argument("--json", action="store_true", help="print one object")
    check.set_defaults(run=_check)


def _seconds(text: str) -> float:
    """Read a number of seconds; also what is no number at all is told in the words of the others."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_WAIT:
        message = f"{text!r} is no number from 0 to {_LONGEST_WAIT}"
        raise argparse.ArgumentTypeError(message)
    return seconds


def _run(arguments: argparse.Namespace) -> int:
    os.umask(0o077)
    if os.geteuid() == 0 and not arguments.allow_root:
        raise UsageError(
            "sessiond does not run as root: it needs to read your projects and no more",
            hint="run it as yourself; in a container where you are root, add --allow-root",
        )
    _make_absolute(arguments)
    with InstanceLock(_state_dir(arguments)) as lock:
        from sessiond.signals import Signals  # noqa: PLC0415 - see above

        signals = Signals()
        if not arguments.detach:
            # Their thread would not exist in the process that detaches itself.
            signals.install()
        # What is imported now stays until the end: to look through it for garbage is work for nothing, at the
        # start and whenever the collector comes by.
        gc.disable()
        # Else it looks through all that is installed for plugins.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
        _import_aiohttp()
        from sessiond import running  # noqa: PLC0415

        gc.freeze()
        gc.enable()
        return running.run(arguments, lock, signals)


def _import_aiohttp() -> None:
    """Import aiohttp without the machine's certificates.

    It reads them all while it is imported, twice, to be a client of https, which it is not here: a seventh of
    a start. Without them it would trust nobody; contexts that are made later are whole.
    """
    import ssl  # noqa: PLC0415

    ssl.SSLContext.set_default_verify_paths = _leave_out  # type: ignore[method-assign, assignment]
    try:
        import aiohttp.web  # noqa: F401, PLC0415
    finally:
        # The method of its C base class is in force again.
        del ssl.SSLContext.set_default_verify_paths


def _leave_out(_context: Any) -> None:
    """Read no certificates."""


def _make_absolute(arguments: argparse.Namespace) -> None:
    """Fix what relative paths mean: a detached process works elsewhere, and a reload reads them again."""
    arguments.roots = [absolute(root) for root in arguments.roots]
    for option in ("config", "state_dir", "runtime_dir", "log_file"):
        path = getattr(arguments, option)
        if path is not None:
            setattr(arguments, option, absolute(path))


def _stop(arguments: argparse.Namespace) -> int:
    tell(stop_daemon(locate(_state_dir(arguments)), arguments.timeout))
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from sessiond import checking  # noqa: PLC0415 - see above

    return checking.run(arguments)


def _state_dir(arguments: argparse.Namespace) -> Path:
    """Find the state folder without the rest of the configuration.

    Raises:
        ConfigError: The file that would name it cannot be read.
    """
    try:
        place = find(_text(arguments.state_dir), config=_text(arguments.config))
    except Unreadable as error:
        raise faults.unreadable(error) from error
    return Path(place.status_file).parent


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon's command line; returns the exit code of ``design.md`` section 10."""
    try:
        options, left = _parser().parse_known_args(arguments)
        if left:
            options.parser.refuse_words(left)
        code: int = options.run(options)
    except SessionlibError as error:
        _complain(error)
        code = error.exit_code
    except (OSError, RuntimeError) as error:
        misplaced = nowhere(error)
        if misplaced is None:
            raise
        _complain(misplaced)
        code = misplaced.exit_code
    return code


def _complain(error: SessionlibError) -> None:
    """Print what is wrong, all of it, and what to do."""
    lines = [f"sessiond: {printable(line)}" for line in (error.message, *getattr(error, "problems", ()))]
    if hint := advice(error):
        lines.append(f"  hint: {printable(hint)}")
    # A full disk under standard error must not change the exit code.
    with contextlib.suppress(OSError):
        print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201 - the door speaks to a person


def entry() -> None:
    """Run `main` and leave the process for good.

    A worker that hangs in the database must not keep the process alive after the drain deadline, so the
    interpreter's own end, which joins and finalises, is not waited for.
    """
    ensure_standard_streams()
    code = 1
    try:
        code = main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except BaseException:  # noqa: BLE001 - told in one record, or printed before there is a log
        sys.excepthook(*sys.exc_info())
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        # What could not be written has been told where somebody listens; it is tried once more here.
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)
