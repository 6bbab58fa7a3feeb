"""Every error of the project, in one shallow tree.

An error is one sentence a person can act on. `hint` says what to do next, `exit_code` is what a command
ends with (``design.md`` section 10), and `transient` tells a retry loop whether waiting can help.
The library raises; only the doors print.
"""

import os
from pathlib import Path
from typing import ClassVar


class SessionlibError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: One sentence, without a final line break.
        hint: What the reader can do next, or None.
    """

    transient: ClassVar[bool] = False
    exit_code: int = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def printable(text: str) -> str:
    """Return a text on one line, with what a terminal would obey, or UTF-8 cannot carry, spelled out."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


class UsageError(SessionlibError):
    """The call's words do not fit: a wrong value, an unknown name, options that exclude each other."""

    exit_code = 2


_ADVICE = {
    2: "`--help` behind the same words tells what they take",
    69: "see that the database runs and that database.url means it; `sessionctl status` tells more",
    75: "wait for the other one, or stop it",
    78: "`sessiond check-config` tells all that is wrong with the configuration",
}


def advice(error: SessionlibError) -> str | None:
    """Return what to do about an error: its hint, or what helps with all that end with the same code."""
    return error.hint or _ADVICE.get(error.exit_code)


def told(error: BaseException) -> str:
    """Return an error on one line: its message, and what to do where it says so."""
    if isinstance(error, SessionlibError):
        return f"{error.message} ({error.hint})" if error.hint else error.message
    return str(error) or type(error).__name__


def nowhere(error: Exception) -> UsageError | None:
    """Return our error for one that a path without a meaning raised; None for any other error.

    Such a path is relative while the working folder has been deleted, or begins with a ``~`` that stands for
    nobody. It is met wherever a path is made absolute.
    """
    if isinstance(error, RuntimeError) and "home" in str(error):
        return UsageError(
            "a path begins with ~, and there is no such home folder", hint="give the path from / on"
        )
    if isinstance(error, FileNotFoundError) and error.filename is None:
        try:
            os.getcwd()  # noqa: PTH109 - it is asked for its error
        except FileNotFoundError:
            return UsageError(
                "the folder this was started in has been deleted",
                hint="change into another, or give paths from / on",
            )
    return None


class ConfigError(SessionlibError):
    """A configuration value cannot be used; names the key and where it came from.

    `problems` are whatever else is wrong with the same configuration, a sentence each.
    """

    exit_code = 78

    def __init__(
        self,
        message: str,
        *,
        key: str = "",
        source: str = "",
        hint: str | None = None,
        problems: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.key = key
        self.source = source
        self.problems = problems


class InstanceLockedError(SessionlibError):
    """Another daemon holds the state folder."""

    exit_code = 75


class StoppingError(SessionlibError):
    """The daemon is stopping and answers no more."""

    transient = True

    def __init__(self) -> None:
        super().__init__("the daemon is stopping", hint="ask again when it has started")


# --- files ---------------------------------------------------------------------------------------


class StateError(SessionlibError):
    """Something about one session folder; `session_dir` says which."""

    def __init__(self, message: str, *, session_dir: Path, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.session_dir = session_dir


class StateNotFoundError(StateError):
    """The session folder or its state.json does not exist."""


class StateExistsError(StateError):
    """A session is to be created where one exists."""


class StateInvalidError(StateError):
    """The document cannot be used as it stands and will not heal by waiting alone.

    `torn` is True where the bytes look like half of a write, so that a second look soon is worth it.
    """

    def __init__(
        self, message: str, *, session_dir: Path, torn: bool = False, hint: str | None = None
    ) -> None:
        super().__init__(message, session_dir=session_dir, hint=hint)
        self.torn = torn


class StateUnreadableError(StateError):
    """The operating system refused the read (permission, I/O, too many open files)."""

    transient = True


class StateWriteError(StateError):
    """The operating system refused the write; the old content is untouched."""


class StateLockedError(StateError):
    """The session's lock was not free within the time allowed."""

    transient = True
    exit_code = 75


class StateConflictError(StateError):
    """The file changed since it was loaded and the caller asked for compare-and-swap."""


class StateReadOnlyError(StateError):
    """A change was asked of a manager opened read-only."""


class StateRefusedError(StateError):
    """The change does not fit the session as it is (an unknown checkpoint, a value out of range)."""

    exit_code = 2


class PhaseNotAllowedError(StateRefusedError):
    """The wanted phase cannot follow the current one; `allowed` names those that can."""

    def __init__(
        self, current: str | None, wanted: str, allowed: tuple[str, ...], *, session_dir: Path
    ) -> None:
        names = ", ".join(allowed) or "none"
        super().__init__(
            f"cannot go from phase {current or 'none'} to {wanted}; allowed from here: {names}",
            session_dir=session_dir,
            hint=f"choose one of: {names}",
        )
        self.current = current
        self.wanted = wanted
        self.allowed = allowed


# --- database ------------------------------------------------------------------------------------


class DatabaseError(SessionlibError):
    """Base of what the database side raises; `sqlstate` is the server's code where there is one."""

    exit_code = 69

    def __init__(self, message: str, *, sqlstate: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.sqlstate = sqlstate


class DatabaseUnavailableError(DatabaseError):
    """The database as a whole does not answer: down, starting, hung, refused the connection, full."""

    transient = True


class DatabaseBusyError(DatabaseError):
    """One statement lost a race (deadlock, lock or statement timeout, serialisation); try it again."""

    transient = True


class DatabaseRefusedError(DatabaseError):
    """The database answers and refuses all of our writes (read-only, no privilege, tables missing).

    Retried as a whole like an outage: an operator must mend it, no single row is at fault.
    """

    transient = True


class RowRejectedError(DatabaseError):
    """The database refuses this very row; its neighbours are fine and waiting will not help."""


class DamagedValueError(DatabaseError):
    """A stored value is not what its column holds: whoever wrote it, it was not this program.

    What is to be written is not at fault. Its words do not repeat the value: nobody knows what it is.
    """

    def __init__(self, message: str = "a value that is stored is damaged and cannot be read") -> None:
        super().__init__(message, hint="sessionctl verify names it, sessionctl rebuild mends the mirror")


class SchemaMismatchError(DatabaseError):
    """The database's schema is newer than this program, or is not ours."""

    exit_code = 78


class SchemaMissingError(DatabaseError):
    """The database has no schema, or an older one, and this command does not upgrade."""

    exit_code = 78


_LISTED = {
    "project": "`sessionctl projects` lists them all",
    "session": "`sessionctl sessions` lists them all",
    "identity": "`sessionctl identity list` lists them all",
    "conversation": "`sessionctl conversations` lists them all",
}
"""Where a person finds the names there are."""


class RecordNotFoundError(SessionlibError):
    """No row of that name; the hint carries the nearest names, or says where all of them are listed."""

    def __init__(self, kind: str, key: str, *, nearest: tuple[str, ...] = ()) -> None:
        hint = f"did you mean: {', '.join(nearest)}?" if nearest else _LISTED.get(kind)
        super().__init__(f"no {kind} named {key!r}", hint=hint)
        self.kind = kind
        self.key = key
        self.nearest = nearest


# --- the daemon ----------------------------------------------------------------------------------


class ControlError(SessionlibError):
    """A daemon's control socket does not answer, or not with what is understood here."""


class DaemonNotRunningError(ControlError):
    """Nothing listens where the daemon would."""

    exit_code = 3


class ControlRefusedError(ControlError):
    """The daemon answered with an error: its own sentence and hint.

    Args:
        status: The HTTP status of the answer.
        message: The daemon's sentence.
        kind: The name of its error's class, if it named one.
        hint: What the reader can do next, or None.
        exit_code: What a command that hits it ends with.
    """

    def __init__(
        self, status: int, message: str, *, kind: str = "", hint: str | None = None, exit_code: int = 1
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.kind = kind
        self.exit_code = exit_code


class MirrorStaleError(SessionlibError):
    """The mirror is not as fresh as was asked for."""
