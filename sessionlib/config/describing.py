"""The settings in force, one by one, for people: value, default, and what gave it. Secrets are masked."""

import json
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from sessionlib.config import urls
from sessionlib.config.problems import SECRET_KEYS, name_of
from sessionlib.config.settings import PRICES, Config, sections


class Setting(NamedTuple):
    """One key; `value` and `default` are as JSON holds them, `origin` is what `Config.origin` says."""

    key: str
    value: Any
    default: Any
    origin: str

    @property
    def changed(self) -> bool:
        """Whether the value is another than the default."""
        return bool(self.value != self.default)

    @property
    def text(self) -> str:
        """The key and its value as TOML writes them, near enough, on one line."""
        return f"{self.key} = {'unset' if self.value is None else json.dumps(self.value, ensure_ascii=False)}"


def describe(config: Config) -> list[Setting]:
    """Return every setting, in the order of the example file, and then each model with a price of its own."""
    settings = [
        Setting(
            key := f"{section}.{name}",
            _plain(key, getattr(getattr(config, section), name)),
            _plain(key, entry.default),
            config.origin(key),
        )
        for section, model in sections().items()
        for name, entry in model.model_fields.items()
    ]
    for name, price in config.prices.items():
        told = price.model_dump(exclude_none=True)
        settings.append(Setting(name_of((PRICES, name)), told, None, config.origin(f"{PRICES}.{name}")))
    return settings


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(key, entry) for entry in value]
    if isinstance(value, Path | UUID):
        return str(value)
    return urls.masked(value) if key in SECRET_KEYS else value
