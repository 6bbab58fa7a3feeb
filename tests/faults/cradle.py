"""A process that has imported all of a daemon and forks one for each line it reads: a start takes 0.2 s.

What it starts are real daemons and commands: ``sessiond.main.entry`` in a process of its own, with its own
environment, log and signals. With its standard input everything that it has started ends, too.
"""

import contextlib
import importlib
import json
import os
import pkgutil
import random
import signal
import sys
from pathlib import Path
from typing import Any

_BESIDE = ("alembic.command", "alembic.autogenerate", "psycopg", "sqlalchemy.dialects.postgresql.psycopg")


def load() -> None:
    """Import whatever a daemon may import."""
    for package in ("sessionlib", "sessiond"):
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if "migrations" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for name in (*_BESIDE, "sqlalchemy.dialects.sqlite.pysqlite"):
        importlib.import_module(name)


def become(order: dict[str, Any]) -> None:
    """Turn this process into what was ordered; does not return."""
    os.environ.clear()
    os.environ.update(order["environment"])
    random.seed()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, descriptor in ((0, nothing), (1, log), (2, log)):
        os.dup2(descriptor, number)
    if order["failpoint"]:
        from tests.faults import failpoints  # noqa: PLC0415 - a daemon that is not to fail needs none

        failpoints.arm(*order["failpoint"])
    sys.argv = order["argv"]
    if order["argv"][0] == "sessionctl":
        from sessionlib.cli.main import main  # noqa: PLC0415 - imported long ago

        code = main()
        sys.stdout.flush()
        os._exit(code)
    if order["argv"][0] == "hand":
        from tests.faults import hands  # noqa: PLC0415 - a daemon needs none

        os._exit(hands.main(order["argv"][1:]))
    from sessiond.main import entry  # noqa: PLC0415 - imported long ago

    entry()


def keep(order: dict[str, Any], answer: int) -> None:
    """Start what was ordered, tell its id, and leave its exit code in a file; does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            become(order)
        os._exit(99)
    os.write(answer, f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    ended = Path(order["ended"])
    beside = ended.with_suffix(".new")
    beside.write_text(str(os.waitstatus_to_exitcode(status)))
    beside.rename(ended)
    os._exit(0)


def serve() -> None:
    """Take orders until there are no more."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    load()
    answer = os.dup(1)
    os.write(answer, b"loaded\n")
    for line in sys.stdin:
        if os.fork() == 0:
            keep(json.loads(line), answer)
    # Its own group: it and what it has started.
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    serve()
