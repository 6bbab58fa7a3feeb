"""Many calls of the two programs, each in a process of its own, forked from one that has them loaded."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Self

_SERVER = """
import json, os, signal, sys, tempfile
import sessiond.checking, sessiond.main, sessiond.running, sessionlib.cli.entry, sessionlib.config
import sessionlib.db.schema, sessionlib.runtime

def run(job):
    os.environ.update(job["environ"])
    for number, stream in ((0, os.devnull), (1, job["stdout"]), (2, job["stderr"])):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT
        opened = os.open(stream, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(job["folder"])
    sys.argv = job["words"]
    # A call that hangs is killed, and its code tells.
    signal.alarm(job["seconds"])
    if job["words"][0] == "sessiond":
        sessiond.main.entry()
    try:
        code = sessionlib.cli.entry.main()
        sys.stdout.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 99
    os._exit(code)

for line in sys.stdin:
    job = json.loads(line)
    with tempfile.TemporaryDirectory() as folder:
        job = {"stdout": f"{folder}/out", "stderr": f"{folder}/err", **job}
        child = os.fork()
        if child == 0:
            run(job)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = []
        for name in ("out", "err"):
            try:
                with open(f"{folder}/{name}", "rb") as file:
                    said.append(file.read().decode(errors="backslashreplace"))
            except FileNotFoundError:
                said.append("")
    print(json.dumps([code, *said]), flush=True)
"""


_NOTHING: Mapping[str, str] = MappingProxyType({})


class Call(NamedTuple):
    """How one call ended, and what it said."""

    code: int
    out: str
    err: str


class Forks:
    """Runs calls one after another; a context manager. Not for several threads.

    To start it takes a second, a call milliseconds: tests share one.

    Args:
        environ: The environment of every call; nothing else of this process's is passed on.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONDONTWRITEBYTECODE") if name in os.environ}
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            env=kept | dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._server as server:
            assert server.stdin is not None
            server.stdin.close()

    def run(
        self, home: Path, words: Sequence[str], environ: Mapping[str, str] = _NOTHING, **more: object
    ) -> Call:
        """Run one call: the program's name and its words, in a home folder that holds its state folder too.

        `environ` is added to the environment; `stdout` and `stderr` name other files for the streams.
        """
        places = {"HOME": str(home), "SESSIOND_STATE_DIR": str(home / "state")}
        job = {"words": list(words), "environ": {**places, **environ}, "folder": str(home), "seconds": 30}
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(job | more) + "\n")
        self._server.stdin.flush()
        return Call(*json.loads(self._server.stdout.readline()))
