"""``python -m sessiond``."""

from sessiond.main import entry

if __name__ == "__main__":
    entry()
