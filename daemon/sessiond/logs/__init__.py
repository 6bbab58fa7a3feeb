"""The daemon's log: one line a record, whatever is in it, on standard error or in a file.

A record goes through four hands. `limit` counts repeated faults and lets the first few pass; `picture` takes
the record apart into text without secrets; `lines` writes it as logfmt or JSON within 8 KiB; `outputs` puts
the line out whole. None of this ever raises into the program: what cannot be put out is counted.
"""

from sessiond.logs.events import event
from sessiond.logs.setup import LogOptions, Logs, set_up

__all__ = ["LogOptions", "Logs", "event", "set_up"]
