"""Secrets stay where they are: nothing the real daemon says, anywhere, holds one."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import builders, loglines, postgres
from tests.canaries import CONTENT, PASSWORD, ROOT, TOKEN, Keeper, kept

pytestmark = [pytest.mark.timeout(180), pytest.mark.postgres]

Wait = Callable[..., None]


@pytest.fixture
def keeper(tmp_path: Path, postgres_server: postgres.Server, postgres_url: str) -> Iterator[Keeper]:
    """A daemon that is full of secrets; not started, and stopped whatever happens."""
    with kept(tmp_path, postgres_server, postgres_url) as made:
        yield made


def contents() -> dict[str, Any]:
    """Return sessions that hold the canary wherever a reader could stumble over it, by slug."""
    good = builders.v2(topic=CONTENT, description=CONTENT)
    wrong = {key: CONTENT for key in good if key not in {"topic", "description"}}
    return {
        "good": good,
        "torn": b'{"topic": "' + CONTENT.encode(),
        "trailing": b"{} " + CONTENT.encode(),
        "list": f'["{CONTENT}"]'.encode(),
        "bytes": b'{"topic": "' + CONTENT.encode() + b'\xff"}',
        "nul": builders.v2(topic=f"{CONTENT}\x00"),
        "surrogate": f'{{"topic": "{CONTENT}\\ud800", "current_phase": "{CONTENT}"}}'.encode(),
        "constant": f'{{"{CONTENT}": NaN}}'.encode(),
        **{f"wrong-{key}": builders.v2(**{key: value}) for key, value in wrong.items()},
        **{f"nested-{key}": builders.v2(**{key: {CONTENT: [CONTENT]}}) for key in wrong},
    }


def test_nothing_it_says_holds_a_secret(keeper: Keeper, wait_until: Wait) -> None:
    """Files it cannot use, faults of the database, bad clients and configurations: no word of a canary."""
    for slug, content in contents().items():
        builders.make_session(keeper.shop / ROOT, slug, content)
    daemon = keeper.daemon.start()
    client = daemon.client
    wait_until(lambda: client.sessions(text=CONTENT)["total"], "the import", seconds=30)
    assert client.rescan()["totals"]["sessions"] == len(contents())
    for slug, content in contents().items():
        builders.make_session(keeper.shop / ROOT, slug, content)
    keeper.look()
    assert keeper.ask("GET", "/status", token=TOKEN[:-1]) == 401
    assert keeper.ask("GET", "/status", token=f"{PASSWORD}") == 401
    assert keeper.ask("POST", "/rescan", body='{"project": "nothing"}') == 404
    os.kill(daemon.pid, signal.SIGUSR2)
    wait_until(lambda: "event=signal.stacks" in daemon.log, "the stacks")
    keeper.proxy.set("refuse")
    builders.make_session(keeper.shop / ROOT, "good", builders.v2(topic=f"{CONTENT} again"))
    daemon.wait_for_event("db.down")
    keeper.look()
    assert keeper.ask("GET", "/sessions") == 503
    assert keeper.ask("POST", "/rescan") == 503
    keeper.proxy.set("pass")
    wait_until(lambda: not client.status().stale, "a fresh mirror", seconds=30)
    assert daemon.stop() == 0
    keeper.find_nothing()
    for line in daemon.log.splitlines():
        if line.startswith("ts="):
            loglines.fields(line)


def test_bad_configurations_give_nothing_away(keeper: Keeper, wait_until: Wait) -> None:
    """Reloads with a broken URL, key or file, each with a secret in it, are answered without a word of it."""
    builders.make_session(keeper.shop / ROOT, "good")
    daemon = keeper.daemon.start()
    url = keeper.proxy.url(keeper.url, PASSWORD)
    broken = (
        {"url": url.replace("postgres:", f"postgres:{PASSWORD}@", 1)},
        {"url": f"postgresql://me:{PASSWORD}@127.0.0.1:{PASSWORD}/x"},
        {"url": f"mysql://me:{PASSWORD}@127.0.0.1/x"},
        {"url": f'{url}" = "{PASSWORD}'},
        {"more": f'password = "{PASSWORD}"\n'},
        {"more": f"drain_deadline = {PASSWORD}\n"},
        {"more": f"[database]\nurl = {PASSWORD}\n"},
    )
    for change in broken:
        keeper.write(**change)
        # A URL of another database is not refused, but waits for a restart.
        assert keeper.ask("POST", "/reload") in {200, 422}
        before = daemon.client.status().config.reloaded_at
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until(lambda before=before: daemon.client.status().config.reloaded_at != before, "the reload")
        keeper.look()
    assert daemon.stop() == 0
    for change in (broken[1], {"more": ""}):
        keeper.write(**change)
        keeper.check()
    for change in broken[2:3]:
        keeper.write(**change)
        daemon.start(ready=False)
        assert daemon.process is not None
        assert daemon.process.wait(60) == 78
    keeper.find_nothing()


@pytest.mark.parametrize("option", ["password", "sslpassword"])
def test_a_secret_among_the_options_of_the_url_is_one(keeper: Keeper, wait_until: Wait, option: str) -> None:
    """Whether it waits for its database or has it, a password behind the question mark is not shown."""
    keeper.write(url=f"{keeper.proxy.url(keeper.url)}?{option}=canary-option")
    keeper.proxy.set("refuse")
    keeper.daemon.start(ready=False)
    keeper.daemon.wait_for_event("db.down")
    keeper.look()
    keeper.proxy.set("pass")
    keeper.daemon.wait_for_event("sessiond.ready")
    keeper.look()
    assert keeper.daemon.stop() == 0
    keeper.find_nothing()
