"""What a user installs: the built wheel, alone in a fresh environment, does the main job."""

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests import builders

HOUSE = Path(__file__).parent.parent.parent

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(HOUSE))
    (built,) = folder.glob("*.whl")
    return built


def run(*command: str, **environ: str) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(
        command,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_the_wheel_holds_two_packages_and_nothing_else(wheel: Path) -> None:
    """`sessionlib` and `sessiond` with their types and migrations; no tests, no folder `daemon`."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"sessionlib", "sessiond"}
    assert {"sessionlib/py.typed", "sessiond/py.typed", "sessionlib/db/migrations/env.py"} <= set(names)


def test_a_fresh_environment_mirrors_and_answers(wheel: Path, tmp_path: Path) -> None:
    """Installed from the wheel, the daemon mirrors a project and `sessionctl` answers."""
    home = tmp_path / "venv"
    run(sys.executable, "-m", "venv", str(home))
    pip = str(home / "bin" / "pip")
    run(pip, "install", "--quiet", "-c", str(HOUSE / "constraints.txt"), str(wheel))
    code = builders.make_project(tmp_path / "code" / "p", ["first", "second"]).parent
    environ = {"SESSIOND_STATE_DIR": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path)}
    daemon = subprocess.Popen(
        [str(home / "bin" / "sessiond"), "run", "--allow-root", str(code)],
        env={**os.environ, **environ},
        stderr=subprocess.PIPE,
        text=True,
    )
    with daemon:
        assert daemon.stderr is not None
        while "event=sessiond.ready" not in daemon.stderr.readline():
            assert daemon.poll() is None
        rows: list[object] = []
        deadline = time.monotonic() + 20
        while len(rows) < 2 and time.monotonic() < deadline:
            answer = run(str(home / "bin" / "sessionctl"), "sessions", "--json", **environ)
            rows = json.loads(answer)["rows"]
        daemon.terminate()
        assert daemon.wait(30) == 0
    assert len(rows) == 2
