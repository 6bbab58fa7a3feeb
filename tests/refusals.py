"""An operating system that refuses some paths, for tests."""

import os
from collections.abc import Callable

import pytest


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, code: int, when: Callable[[str], bool]) -> None:
    """Make one function of os fail for the paths that match."""
    real = getattr(os, name)

    def failing(path, *args, **kwargs):
        if when(str(path)):
            raise OSError(code, os.strerror(code), str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, name, failing)
