"""Speaking with a running daemon: what it answers, where it listens, and a client. Standard library only.

The names are loaded when they are used: `sessionctl status` needs only a part of this package, and soon.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sessionlib.control.client import ControlClient
    from sessionlib.control.events import Event
    from sessionlib.control.status import Status

__all__ = ["ControlClient", "Event", "Status"]

_HOMES = {"ControlClient": "client", "Event": "events", "Status": "status"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module  # noqa: PLC0415 - see the module's docstring

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
