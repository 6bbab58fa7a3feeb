"""Taking over another configuration while the daemon runs; what cannot be taken over waits for a restart."""

from collections.abc import Sequence

from sessiond.board import Limits
from sessiond.parts import Parts
from sessionlib.config import Config


def merged(old: Config, new: Config, applied: Sequence[str]) -> Config:
    """Return the old configuration with those keys ("watch.roots") taken from the new one."""
    sections: dict[str, dict[str, object]] = {}
    for key in applied:
        section, name = key.split(".")
        sections.setdefault(section, {})[name] = getattr(getattr(new, section), name)
    return old.model_copy(
        update={
            "source": new.source,
            **{
                section: getattr(old, section).model_copy(update=values)
                for section, values in sections.items()
            },
        }
    )


def apply(parts: Parts, config: Config) -> None:
    """Let the running parts work with another configuration, which differs only in what they can take over.

    Raises:
        DatabaseError: The database does not answer under its new URL; everything stays as it was.
    """
    parts.runtime.change(config)
    parts.rounds.interval = config.watch.reconcile_interval
    parts.board.limits = Limits(config.daemon.stale_after, config.daemon.stuck_after)
    parts.change(config)
