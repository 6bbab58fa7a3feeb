"""What the files side must not know."""

import subprocess
import sys

PROBE = """
import sys
before = set(sys.modules)  # a measuring tool may have brought its own
import sessionlib.state, sessionlib.state.manager, sessionlib.state.scan
strangers = {"sqlalchemy", "sqlite3", "psycopg", "alembic", "watchdog", "tenacity", "sessiond", "argparse"}
print(sorted(name for name in set(sys.modules) - before if name.split(".")[0] in strangers
             or name.startswith(("sessionlib.db", "sessionlib.sync"))))
"""


def test_files_side_loads_no_database_and_no_watcher() -> None:
    """Importing the package, in a fresh interpreter, brings none of the other sides along."""
    result = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_public_names_are_there() -> None:
    """Every name the package promises can be had from it."""
    import sessionlib.state  # noqa: PLC0415 - the import is the test

    assert sorted(sessionlib.state.__all__) == sorted(set(sessionlib.state.__all__))
    assert all(hasattr(sessionlib.state, name) for name in sessionlib.state.__all__)
