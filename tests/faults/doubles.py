"""Two that write the same mirror: daemons of two hosts on one database, and commands beside a daemon."""

import time
import uuid

from tests import builders
from tests.faults import oracle
from tests.faults.ground import Figure, Ground
from tests.faults.writers import Writers

_SESSIONS = 12
_HOSTS = {name: str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in ("anvil", "bellows")}
_REMOTE = "git@forge.example:team/shop.git"


def two_hosts(ground: Ground, seconds: float) -> Figure:
    """Let two hosts mirror one tree into one PostgreSQL under four writers: they converge and are still."""
    url = ground.tools.new_database("postgres")
    # By its remote it is the same project on both.
    builders.make_git_repo(ground.code / "shop", _REMOTE)
    root = ground.project(count=_SESSIONS)
    config = "[watch]\nreconcile_interval = 2.0\n"
    daemons = [
        ground.keeper(url, name, config, environ={"SESSIOND_HOST_ID": _HOSTS[name]}) for name in _HOSTS
    ]
    for one in daemons:
        one.start()
    with Writers(root, ground.chance, _SESSIONS, pause=0.01) as writers:
        time.sleep(seconds)
        writers.pause()
        since = time.monotonic()
        took = max(one.recovered(since) for one in daemons)
    projects = oracle.Mirror(url).rows("SELECT count(*) AS found FROM projects")[0]["found"]
    assert projects == 1, projects
    # Longer than two comparisons of each: whoever undid what the other did would do so again by then.
    time.sleep(1.0)
    before = oracle.Mirror(url).digest()
    time.sleep(5.0)
    after = oracle.Mirror(url).digest()
    assert after == before, [name for name in after if after[name] != before[name]]
    for one in daemons:
        assert "deadlock" not in one.log, one.tail()
        assert "Traceback" not in one.log, one.tail()
        one.end()
        assert not one.drift()
    return Figure("two hosts", f"one database, one tree, {writers.saves:,} saves", 1, 0, took)


def beside_a_daemon(ground: Ground, kind: str, times: int) -> Figure:
    """Run ``sessionctl sync``, which has a queue of its own, beside a daemon and four writers."""
    root = ground.project(count=_SESSIONS)
    daemon = ground.keeper(ground.tools.new_database(kind))
    daemon.start()
    with Writers(root, ground.chance, _SESSIONS, pause=0.01) as writers:
        for _ in range(times):
            daemon.ctl("sync", str(ground.code))
        writers.pause()
        took = daemon.recovered(time.monotonic())
    assert "Traceback" not in daemon.log, daemon.tail()
    assert "event=sync.gave_up " not in daemon.log, daemon.tail()
    daemon.check_clean()
    return Figure("queue beside daemon", f"{kind}, {writers.saves:,} saves", times, 0, took)
