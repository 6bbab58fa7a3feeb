"""A password comes by every door that there is for one; none of them lets it out again."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests import builders, postgres
from tests.acceptance.processes import sessionctl
from tests.canaries import CONTENT, PASSWORD, ROOT, Keeper, kept

pytestmark = [pytest.mark.timeout(180), pytest.mark.postgres]

Wait = Callable[..., None]
DOORS = ("variable", "PGPASSWORD", "url_file", "credential", "pgpass")


@pytest.fixture
def keeper(tmp_path: Path, postgres_server: postgres.Server, postgres_url: str) -> Iterator[Keeper]:
    """A daemon that is full of secrets; not started, and stopped whatever happens."""
    with kept(tmp_path, postgres_server, postgres_url) as made:
        yield made


def give(keeper: Keeper, door: str) -> None:
    """Take the password out of the configuration and give it by another door."""
    with_it, without = keeper.proxy.url(keeper.url, PASSWORD), keeper.proxy.url(keeper.url)
    environ, home = keeper.daemon.environment, keeper.home
    del environ["SESSIOND_DATABASE_URL"]
    text = keeper.config.read_text()
    line = f'url = "{with_it}"\n'
    assert line in text

    def keep(name: str, content: str) -> Path:
        path = home / name
        path.touch(0o600)
        path.write_text(content + "\n")
        return path

    if door == "variable":
        environ["SESSIOND_DATABASE_URL"] = with_it
        keeper.config.write_text(text.replace(line, ""))
    elif door == "url_file":
        keeper.config.write_text(text.replace(line, f'url_file = "{keep("dsn-file", with_it)}"\n'))
    elif door == "credential":
        (home / "credentials").mkdir()
        keep("credentials/dsn", with_it)
        environ["CREDENTIALS_DIRECTORY"] = str(home / "credentials")
        keeper.config.write_text(text.replace(line, ""))
    else:
        keeper.config.write_text(text.replace(line, f'url = "{without}"\n'))
        if door == "PGPASSWORD":
            environ["PGPASSWORD"] = PASSWORD
        else:
            quoted = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
            environ["PGPASSFILE"] = str(keep("pgpass", f"*:*:*:*:{quoted}"))


@pytest.mark.parametrize("door", DOORS)
def test_no_door_lets_a_password_out(keeper: Keeper, wait_until: Wait, door: str) -> None:
    """While all is well and while the database refuses: log, status, metrics, doctor, errors, tracebacks."""
    give(keeper, door)
    environ = keeper.daemon.environment
    environ["SESSIONCTL_TRACEBACK"] = "1"
    builders.make_session(keeper.shop / ROOT, "good", builders.v2(topic=CONTENT))
    daemon = keeper.daemon.start()
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror", seconds=30)
    keeper.look()
    os.kill(daemon.pid, signal.SIGUSR2)
    wait_until(lambda: "event=signal.stacks" in daemon.log, "the stacks")
    keeper.proxy.set("refuse")
    builders.make_session(keeper.shop / ROOT, "good", builders.v2(topic=f"{CONTENT} again"))
    daemon.wait_for_event("db.down")
    keeper.look()
    for words in (["sessions"], ["quality"], ["sync", str(keeper.shop)], ["db", "upgrade"]):
        done = sessionctl(environ, *words, cwd=keeper.home)
        keeper.heard.append(done.stdout + done.stderr)
    keeper.check()
    assert b"canary" not in Path(f"/proc/{daemon.pid}/cmdline").read_bytes()
    assert daemon.stop() == 0
    said = "\n".join(keeper.everything().values())
    for trace in (PASSWORD, quote(PASSWORD, safe=""), "pass/word", "pass%2Fword"):
        assert trace not in said, [line for line in said.splitlines() if trace in line][:3]
    keeper.find_nothing()
