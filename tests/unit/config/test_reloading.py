"""Configuration: what a reload changes, and how the settings are described."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from sessionlib.config import Config, DatabaseConfig, ModelPrice, describe, load, reloaded, sections
from sessionlib.config.reloading import LIVE, RESTART
from tests.configs import Write

KEYS = [f"{section}.{name}" for section, model in sections().items() for name in model.model_fields]
ALL_KEYS = [*KEYS, "prices"]

OTHER: dict[Any, Any] = {
    int: 33,
    float: 33.0,
    bool: True,
}
"""Another value than the default, for each kind of key."""


def changed(key: str) -> Config:
    """Return the defaults with one key changed."""
    default = Config()
    if key == "prices":
        return default.model_copy(
            update={"prices": {"a-model": ModelPrice(input=1.0, output=2.0, cache_read=0.1)}}
        )
    section, name = key.split(".")
    settings: BaseModel = getattr(default, section)
    field = type(settings).model_fields[name]
    named = {
        "watch.roots": (Path("/x"),),
        "log.level": "debug",
        "log.format": "json",
        "database.url": "sqlite:////other.db",
        "control.listen": "localhost:1",
        "watch.sessions_dirs": ("x",),
        "control.origins": ("http://localhost",),
        "daemon.host_id": UUID(int=1),
        "sync.read_ahead": False,
        "tracking.hooks": False,
        "tracking.transcripts": False,
    }
    value = named.get(key, OTHER.get(field.annotation, Path("/x")))
    return default.model_copy(update={section: settings.model_copy(update={name: value})})


@pytest.mark.parametrize("key", ALL_KEYS)
def test_every_key_is_either_applied_or_waits(key: str) -> None:
    """A key has one class, and changing it alone names it there and nothing else."""
    assert (key in LIVE) is not (key in RESTART)
    live, restart = reloaded(Config(), changed(key))
    assert (live, restart) == (([key], []) if key in LIVE else ([], [key]))


def test_no_class_names_a_key_that_is_gone() -> None:
    """The two classes hold the keys there are."""
    assert set(ALL_KEYS) == LIVE | RESTART


def test_nothing_changed(write: Write) -> None:
    """The same settings from other sources change nothing."""
    assert reloaded(Config(), load(write("[watch]\ndepth = 4\n"), environ={})) == ([], [])


@pytest.mark.parametrize(
    ("old", "new", "applied"),
    [
        ("postgresql://ann:a@host/name", "postgresql://ann:b@host/name", True),
        ("postgresql://ann@host/name", "postgresql://bob@host/name?sslmode=require", True),
        ("postgresql://ann@host/name", "postgresql://ann@other/name", False),
        ("postgresql://ann@host/name", "", False),
        ("", "sqlite:////other.db", False),
        ("", f"sqlite:///{Config().state_dir}/mirror.db", True),
    ],
)
def test_url_of_the_same_database_is_applied(old: str, new: str, applied: bool) -> None:
    """Another user or password is a matter of the pool; another database needs a restart."""
    if "mirror.db" in new:
        new = Config().database_url
    before = Config(database=DatabaseConfig(url=old))
    after = Config(database=DatabaseConfig(url=new))
    assert reloaded(before, after) == ((["database.url"], []) if applied else ([], ["database.url"]))


def test_changes_are_in_the_order_of_the_example() -> None:
    """Several changes are listed as the example lists them."""
    new = Config.model_validate(
        {
            "daemon": {"stale_after": 1.0},
            "log": {"level": "debug"},
            "watch": {"roots": ["/x"], "depth": 1},
            "control": {"listen": "localhost:1"},
        }
    )
    assert reloaded(Config(), new) == (
        ["watch.roots", "log.level", "daemon.stale_after"],
        ["watch.depth", "control.listen"],
    )


def test_description_of_the_settings(write: Write) -> None:
    """Each setting is told with its value, its default and its source; a password is masked."""
    path = write('[watch]\nroots = ["/code"]\ndepth = 4\n[log]\nfile = "/log"\n')
    environ = {
        "SESSIOND_DATABASE_URL": "postgresql://ann:c4nary@host/name",
        "SESSIOND_HOST_ID": str(UUID(int=7)),
    }
    settings = {setting.key: setting for setting in describe(load(path, environ=environ))}
    assert list(settings) == KEYS
    assert settings["watch.roots"].text == 'watch.roots = ["/code"]'
    assert settings["watch.roots"].origin == str(path)
    assert settings["database.url"].text == 'database.url = "postgresql://ann:***@host/name"'
    assert settings["database.url"].origin == "SESSIOND_DATABASE_URL"
    assert settings["daemon.state_dir"].text == "daemon.state_dir = unset"
    assert "c4nary" not in json.dumps([setting._asdict() for setting in settings.values()])
    different = [key for key, setting in settings.items() if setting.changed]
    assert different == ["watch.roots", "database.url", "log.file", "daemon.host_id"]
