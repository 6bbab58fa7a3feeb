"""Open a project as a UI does: bring it up to date, show its sessions, and follow them.

    python open_project.py ~/code/shop

It speaks with the daemon over its Unix socket, so it needs neither port nor token.
"""

import sys
from pathlib import Path

from sessionlib.control import ControlClient
from sessionlib.errors import SessionlibError


def show(answer: dict) -> None:
    """Print the sessions of an answer."""
    print(f"as of {answer['as_of']}" + (" (stale)" if answer["stale"] else ""))
    for row in answer["rows"]:
        print(f"  {row['slug']:30} {row['current_phase'] or '-':10} {row['topic'] or ''}")


def refresh(client: ControlClient, folder: Path) -> str:
    """Compare the project with its files, show what is there afterwards, and return the project's name."""
    # It answers once everything that differed is committed: what is read next is what was on disk.
    counts = client.rescan(path=folder)
    project, totals = counts["rows"][0]["project"], counts["totals"]
    print(f"{project}: {totals['sessions']} sessions, {totals['written']} brought up to date")
    show(client.sessions(project=project))
    return project


def follow(folder: Path) -> None:
    """Show the project, then every change in it, until Ctrl-C."""
    project = ""
    with ControlClient.find() as client:
        # Nobody knows an event of this name, so the feed begins with a resync: listen first, then look, and
        # nothing falls between the two. Later ones say that changes were missed.
        for event in client.events(after="the beginning"):
            if event.kind == "resync":
                project = refresh(client, folder)
            elif event.data["project"] == project:
                print(f"{event.kind} {event.data['slug']}: {event.data['phase']}")
            sys.stdout.flush()


if __name__ == "__main__":
    try:
        follow(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    except KeyboardInterrupt:
        pass
    except SessionlibError as error:
        hint = f"\n  hint: {error.hint}" if error.hint else ""
        print(f"{error.message}{hint}", file=sys.stderr)
        sys.exit(error.exit_code)
