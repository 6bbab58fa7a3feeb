"""The kernel gives no more watches: everything is mirrored by polling, after one warning."""

import subprocess
import time

import pytest

from tests import builders
from tests.faults.ground import Figure, Ground
from tests.faults.machine import need

LIMITS = {"max_inotify_watches": 20, "max_inotify_instances": 0}
WARNINGS = {"max_inotify_watches": "limit", "max_inotify_instances": "instances"}


def limited(ground: Ground, name: str, folders: int) -> Figure:
    """Run the daemon in a user namespace with a limit of inotify that is too low for its folders."""
    unshare = need("unshare")
    knob = f"/proc/sys/user/{name}"
    probe = subprocess.run([unshare, "-Ur", "test", "-w", knob], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("user namespaces are not permitted here")
    root = ground.project(count=folders)
    daemon = ground.keeper(ground.tools.new_database("sqlite"), config="[watch]\npoll_interval = 0.5\n")
    script = f'echo {LIMITS[name]} > {knob}; exec "$@"'
    daemon.start(through=[unshare, "-Ur", "sh", "-c", script, "sh"])
    daemon.recovered(time.monotonic())
    longest = 0.0
    for turn in range(3):
        for number in range(folders):
            document = builders.v2_building(session_id=f"s{number}", topic=f"turn {turn}")
            builders.make_session(root, f"s{number}", document)
        builders.make_session(root, f"new-{turn}")
        longest = max(longest, daemon.recovered(time.monotonic()))
    loud = [line for line in daemon.said.splitlines() if "level=warning" in line or "level=error" in line]
    events = sorted(line.partition("event=")[2].partition(" ")[0] for line in loud)
    assert events == [f"watch.{WARNINGS[name]}"], loud
    daemon.check_clean()
    return Figure("inotify limit", f"{name} = {LIMITS[name]}, {folders} folders", 3, 0, longest)
