"""Read the configuration: option, then environment, then credential, then file, then default.

Every source is read and everything that is wrong is collected, so that one look shows all there is to mend.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sessionlib.config import urls
from sessionlib.config.files import NoFileError, UnfitFileError, exposed, read_config, read_secret
from sessionlib.config.machine import HOST_VARIABLE
from sessionlib.config.problems import Problem, as_error, unfit, unfit_price, unknown
from sessionlib.config.rules import broken_rules
from sessionlib.config.settings import DEFAULTS, PRICES, Config, Provenance, sections
from sessionlib.config.urls import DATABASE_VARIABLE
from sessionlib.errors import ConfigError
from sessionlib.locations import (
    CONFIG_VARIABLE,
    RUNTIME_VARIABLE,
    STATE_VARIABLE,
    absolute,
    default_config_path,
)

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
"""Where systemd puts the credentials of a service."""

_VARIABLES = {
    ("database", "url"): DATABASE_VARIABLE,
    ("daemon", "state_dir"): STATE_VARIABLE,
    ("daemon", "runtime_dir"): RUNTIME_VARIABLE,
    ("daemon", "host_id"): HOST_VARIABLE,
}
_OPTIONS = {
    "database.url": "--database",
    "control.listen": "--listen",
    "log.level": "--log-level",
    "log.format": "--log-format",
    "log.file": "--log-file",
    "daemon.state_dir": "--state-dir",
    "daemon.runtime_dir": "--runtime-dir",
}
COMMAND_LINE = "the command line"
"""What gave a key that an option without a name of its own has set."""


def load(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    folder: Path | None = None,
) -> Config:
    """Read the configuration. Blocks for a few small files; pipes and devices are refused, not waited for.

    Args:
        path: The file an option named; it must exist. None looks at the environment and the usual place.
        environ: The environment; the process's own for None.
        overrides: Values from options, by section; they win over everything.
        folder: Where relative paths start; the working folder for None. A process that has left the folder it
            was started in names that one here when it reads the configuration again.

    Raises:
        ConfigError: Something cannot be used; names where it stands, its key and what is allowed. Further
            problems are in its `problems`.
    """
    environ = os.environ if environ is None else environ
    gathered = _Gathered(environ, folder)
    gathered.read_file(path)
    gathered.read_credentials()
    gathered.read_environment()
    for section, settings in (overrides or {}).items():
        for name, value in settings.items():
            gathered.put(section, name, value, _OPTIONS.get(f"{section}.{name}", COMMAND_LINE))
    return gathered.settle()


@dataclass
class _Gathered:
    """What the sources have given so far: values by section, what gave each key, and what is wrong."""

    environ: Mapping[str, str]
    folder: Path | None
    source: str = DEFAULTS
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def put(self, section: str, name: str, value: Any, origin: str) -> None:
        """Set one key, over what an earlier source gave."""
        self.values.setdefault(section, {})[name] = value
        self.origins[f"{section}.{name}"] = origin

    def read_file(self, path: Path | None) -> None:
        """Take over the configuration file, if one is named or lies in the usual place."""
        named, chosen = self._config_path(path)
        if chosen is None:
            return
        try:
            text, seen = read_config(chosen)
        except UnfitFileError as error:
            if isinstance(error, NoFileError) and not named:
                return
            raise _unreadable(chosen, str(error)) from None
        self.source = str(chosen)
        for name, settings in _parsed(text, chosen).items():
            self._take(name, settings)
        self._check_password(chosen, seen)
        self._refuse_two_urls()

    def read_credentials(self) -> None:
        """Take over what the service manager hands over: the database's URL and the control token."""
        directory = self.environ.get(CREDENTIALS_VARIABLE)
        if not directory:
            return
        for name, section, key in (("dsn", "database", "url"), ("control-token", "control", "token_file")):
            path = Path(directory, name)
            origin = f"credential {name}"
            try:
                text = read_secret(path, private=False)
            except NoFileError:
                continue
            except UnfitFileError as error:
                self.problems.append(Problem(origin, f"{section}.{key}", f"{path} cannot be used: {error}"))
            else:
                self.put(section, key, text if key == "url" else path, origin)

    def read_environment(self) -> None:
        """Take over the variables that are not empty."""
        for (section, name), variable in _VARIABLES.items():
            if value := self.environ.get(variable):
                self.put(section, name, value, variable)

    def settle(self) -> Config:
        """Return the configuration.

        Raises:
            ConfigError: There are problems.
        """
        self._follow_url_file()
        unusable: set[str] = set()
        try:
            config = self._validated()
        except ValidationError as error:
            # Without what is wrong by itself the rest can still be looked at.
            unusable = self._drop_unfit(error)
            config = self._validated()
        self.problems += broken_rules(config, unusable)
        if self.problems:
            raise as_error(self.problems)
        return config

    def _validated(self) -> Config:
        context = Provenance(self.origins, self.environ, self.folder)
        return Config.model_validate(self.values | {"source": self.source}, context=context)

    def _config_path(self, path: Path | None) -> tuple[bool, Path | None]:
        """Return whether somebody named the file, and which it is; None without a home folder to look in."""
        if path is not None:
            return True, self._absolute(path, "--config")
        if text := self.environ.get(CONFIG_VARIABLE):
            return True, self._absolute(Path(text), CONFIG_VARIABLE)
        try:
            return False, default_config_path(self.environ)
        except RuntimeError:
            return False, None

    def _absolute(self, path: Path, origin: str) -> Path:
        try:
            return absolute((self.folder or Path()) / path.expanduser())
        except RuntimeError:
            raise ConfigError(f"{origin}: there is no home folder for {path}", source=origin) from None

    def _take(self, name: str, settings: object) -> None:
        if name not in sections() and name != PRICES:
            self.problems.append(unknown((name,), self.source, sections()))
        elif name == PRICES and not isinstance(settings, dict):
            reason = f'must hold tables, such as [{PRICES}."name-of-a-model"]'
            self.problems.append(Problem(self.source, name, reason))
        elif not isinstance(settings, dict):
            self.problems.append(Problem(self.source, name, f"must be a table, [{name}]"))
        else:
            for key, value in settings.items():
                self.put(name, key, value, self.source)

    def _check_password(self, path: Path, seen: os.stat_result) -> None:
        url = self.values.get("database", {}).get("url")
        if isinstance(url, str) and urls.has_password(url) and (why := exposed(seen, path)):
            reason = (
                f"a password may stand only in a file of your own, but this one {why.removeprefix('it ')}"
            )
            self.problems.append(
                Problem(
                    self.source,
                    "database.url",
                    reason,
                    f"or put the URL into {DATABASE_VARIABLE}, or the password into ~/.pgpass",
                )
            )

    def _refuse_two_urls(self) -> None:
        settings = self.values.get("database", {})
        if settings.get("url") and settings.get("url_file"):
            reason = "database.url is set too, and only one of them can say where the database is"
            self.problems.append(Problem(self.source, "database.url_file", reason, "keep one of them"))

    def _follow_url_file(self) -> None:
        """Read the URL from the file that is named for it, unless something has given one."""
        settings = self.values.get("database", {})
        named = settings.get("url_file")
        if settings.get("url") or not isinstance(named, str) or not named or "://" in named:
            return
        try:
            path = self._absolute(Path(named), self.source)
            self.put("database", "url", read_secret(path, first_line=True), str(path))
        except ConfigError:
            return  # No home folder: said where the path itself is checked.
        except UnfitFileError as error:
            reason = f"{named} cannot be used: {error}"
            self.problems.append(Problem(self.source, "database.url_file", reason))

    def _drop_unfit(self, error: ValidationError) -> set[str]:
        """Note each problem pydantic has found and take its value out; return the keys."""
        dropped: set[str] = set()
        for detail in error.errors(include_url=False):
            section, name = str(detail["loc"][0]), str(detail["loc"][1])
            key = f"{section}.{name}"
            dropped.add(key)
            origin = self.origins.get(key, self.source)
            if section == PRICES:
                self.problems.append(unfit_price(detail, origin))
            elif detail["type"] == "extra_forbidden":
                self.problems.append(unknown((section, name), origin, sections()))
            else:
                model = sections()[section]
                self.problems.append(unfit(detail, origin, model.model_fields[name]))
            self.values[section].pop(name, None)
        return dropped


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise _unreadable(path, "it is nested too deeply") from None
    except ValueError as error:
        raise _unreadable(path, str(error)) from None


def _unreadable(path: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"cannot read the configuration {path}: {reason}",
        source=str(path),
        hint="mend the file, or name another with --config",
    )
