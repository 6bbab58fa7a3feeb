"""The second process of a large import: it reads session folders and understands them, nothing else.

Started as ``python -P -m sessiond.reader``. Each message on its standard input is a pickled (place, slugs,
settled); it answers each on its standard output with the pickled readings, or with None where that failed.
It ends when its parent does, or has had no work for it for a while. It opens no database and no log.
"""

import pickle
import sys
from multiprocessing.connection import Connection

from sessionlib.sync import piping
from sessionlib.sync.reading import portion

IDLE = 5.0
"""Seconds without work after which it ends."""


def serve(requests: Connection, answers: Connection) -> None:
    """Answer until the other side closes, or `IDLE` is over."""
    # Ready: whoever starts it need not wait for its imports.
    answers.send_bytes(b"")
    while requests.poll(IDLE):
        # Pickles are safe here: both ends are this program, and nobody else holds these pipes.
        place, slugs, settled = pickle.loads(requests.recv_bytes())  # noqa: S301
        try:
            readings = portion(place, slugs, settled)
        except Exception:  # noqa: BLE001 - whoever asked reads them itself, and meets the error where it is told
            readings = None
        answers.send_bytes(pickle.dumps(readings, protocol=pickle.HIGHEST_PROTOCOL))


if __name__ == "__main__":
    sys.exit(piping.serve(serve, 20_000))
