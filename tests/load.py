"""How loaded this machine is: bounds of time are promised for one that has a free core."""

import os


def busy() -> float:
    """Return how many wait for each core of this machine, at least 1."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
