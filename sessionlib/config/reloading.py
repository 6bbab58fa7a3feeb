"""What another configuration changes in a running daemon: what is applied at once, what needs a restart."""

from sessionlib.config import urls
from sessionlib.config.settings import PRICES, Config, sections

LIVE = frozenset(
    {
        "watch.roots",
        "watch.reconcile_interval",
        "database.url_file",
        "sync.workers",
        "sync.attempts",
        "sync.first_delay",
        "sync.longest_delay",
        "tracking.telemetry",
        "tracking.abandon_after",
        "tracking.log_days",
        "log.level",
        "log.format",
        "log.file",
        "daemon.drain_deadline",
        "daemon.stale_after",
        "daemon.stuck_after",
        PRICES,
    }
)
"""Applied by a reload. Of `database.url_file` only the URL in it counts, judged as `database.url`."""

RESTART = frozenset(
    {
        "watch.sessions_dirs",
        "watch.depth",
        "watch.force_polling",
        "watch.poll_interval",
        "watch.quiet",
        "watch.longest_delay",
        "database.url",
        "database.pgbouncer",
        "sync.read_ahead",
        "tracking.hooks",
        "tracking.transcripts",
        "tracking.client_folders",
        "tracking.bodies",
        "tracking.body_most",
        "control.listen",
        "control.token_file",
        "control.origins",
        "control.clients",
        "control.request_timeout",
        "daemon.state_dir",
        "daemon.runtime_dir",
        "daemon.host_id",
    }
)
"""Wait for a restart; `database.url` only when it means another database."""


def reloaded(old: Config, new: Config) -> tuple[list[str], list[str]]:
    """Compare two configurations.

    Returns:
        The changed keys (``watch.roots``) that a running daemon applies, and those that need a restart, each
        in the order of the example file. `database.url` is applied when both mean the same database and
        only the user, the password or the connection's options differ.
    """
    changed = [
        f"{section}.{name}"
        for section, model in sections().items()
        for name in model.model_fields
        if getattr(getattr(old, section), name) != getattr(getattr(new, section), name)
    ]
    if old.prices != new.prices:
        changed.append(PRICES)
    live = [key for key in changed if _is_live(key, old, new)]
    return live, [key for key in changed if key not in live]


def _is_live(key: str, old: Config, new: Config) -> bool:
    if key == "database.url":
        return urls.same_database(old.database_url, new.database_url)
    return key in LIVE
