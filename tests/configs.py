"""What the tests of the configuration share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionlib.config import load
from sessionlib.errors import ConfigError

Write = Callable[..., Path]
"""Writes a configuration file, perhaps with another mode than 0644, and returns its path."""


def refused(path: Path | None = None, **more: Any) -> ConfigError:
    """Return the error of a configuration that cannot be used."""
    with pytest.raises(ConfigError) as caught:
        load(path, **({"environ": {}} | more))
    assert caught.value.exit_code == 78
    return caught.value


def told(error: ConfigError) -> list[str]:
    """Return every sentence of an error, with its hints."""
    first = f"{error.message} ({error.hint})" if error.hint else error.message
    return [first, *error.problems]
