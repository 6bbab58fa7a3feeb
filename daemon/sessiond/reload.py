"""Taking over another configuration while the daemon runs; what cannot be taken over waits for a restart."""

from collections.abc import Callable, Sequence

from sessiond.board import Limits
from sessiond.fitness import unfit
from sessiond.parts import Parts
from sessionlib.config import Config
from sessionlib.errors import ConfigError, UsageError

_TOLD_MOST = 4
"""Problems that are told beside the first; `sessiond check-config` lists all."""


def read(load: Callable[[], Config]) -> Config:
    """Return the configuration as it is now, checked as a start would.

    Raises:
        ConfigError: It cannot be used; its message tells of every problem, up to some number.
    """
    try:
        config = load()
    except UsageError as error:
        # Of a start it is the command line's fault; here there is none but the file's.
        raise ConfigError(f"watch.roots: {error.message}", key="watch.roots", hint=error.hint) from error
    except ConfigError as error:
        raise _whole(error, error.problems) from error
    problems = list(unfit(config))
    if problems:
        raise _whole(problems[0], [problem.message for problem in problems[1:]])
    return config


def _whole(first: ConfigError, others: Sequence[str]) -> ConfigError:
    """Return one error for all, since log, status and answer have room for one."""
    more = len(others) - _TOLD_MOST
    told = [first.message, *others[:_TOLD_MOST], *([f"and {more} more"] if more > 0 else ())]
    return ConfigError("; ".join(told), key=first.key, source=first.source, hint=first.hint)


def merged(old: Config, new: Config, applied: Sequence[str]) -> Config:
    """Return the old configuration with those keys ("watch.roots") taken from the new one."""
    sections: dict[str, dict[str, object]] = {}
    whole: dict[str, object] = {}
    for key in applied:
        section, _, name = key.partition(".")
        if name:
            sections.setdefault(section, {})[name] = getattr(getattr(new, section), name)
        else:
            whole[section] = getattr(new, section)
    return old.model_copy(
        update={
            "source": new.source,
            **whole,
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
