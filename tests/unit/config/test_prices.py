"""Configuration: what a model costs, one table for each."""

import json

import pytest

from sessionlib.config import Config, ModelPrice, describe, load
from tests.configs import Write, refused

PRICED = '[prices."claude-x-1"]\ninput = 3\noutput = 15.0\ncache_read = 0.3\n'


def test_prices_are_read_by_model(write: Write) -> None:
    """Whole numbers are numbers as well, and what is left out stays unset."""
    path = write(f"{PRICED}[prices.free]\ninput = 0.0\noutput = 0.0\ncache_read = 0.0\nweb_search = 0.01\n")
    config = load(path, environ={})
    assert config.prices == {
        "claude-x-1": ModelPrice(input=3.0, output=15.0, cache_read=0.3),
        "free": ModelPrice(input=0.0, output=0.0, cache_read=0.0, web_search=0.01),
    }
    assert config.origin("prices.free") == str(path)
    assert Config().prices == {}


def test_configurations_with_prices_are_compared_and_hashed(write: Write) -> None:
    """Two are equal when their prices are, and then have the same hash."""
    one, same = (load(write(PRICED), environ={}) for _ in range(2))
    other = load(write(PRICED.replace("15.0", "16.0")), environ={})
    assert (one, hash(one)) == (same, hash(same))
    assert one != other
    assert len({one, same, other}) == 2


def test_prices_are_described(write: Write) -> None:
    """Each model is a setting of its own, with what was set for it."""
    path = write(PRICED.replace("claude-x-1", "a.b c".replace(" ", "/")))
    setting = describe(load(path, environ={}))[-1]
    assert setting.text == 'prices."a.b/c" = {"input": 3.0, "output": 15.0, "cache_read": 0.3}'
    assert (setting.changed, setting.origin) == (True, str(path))
    json.dumps(setting._asdict())
    assert not [setting for setting in describe(Config()) if setting.key.startswith("prices")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prices = 3", 'prices: must hold tables, such as [prices."name-of-a-model"]'),
        ("[[prices]]\ninput = 1", "prices: must hold tables"),
        ("[prices]\nx = 3", "prices.x: must be a table, [prices.x]"),
        ('[prices]\n"x.y" = [1]', 'prices."x.y": must be a table, [prices."x.y"]'),
        (
            "[prices.x]\ninput = 1.0\noutput = 1.0",
            "prices.x.cache_read: is missing; it must be a number from 0",
        ),
        (f"{PRICED}inputt = 1", "unknown key prices.claude-x-1.inputt"),
        (
            f"{PRICED}web_search = -1",
            "prices.claude-x-1.web_search: must be a number from 0 to 100000 (USD), not -1",
        ),
        (f"{PRICED}web_search = 100001", "prices.claude-x-1.web_search: must be a number from 0 to 100000"),
        (f"{PRICED}web_search = nan", "prices.claude-x-1.web_search: must be a number from 0 to 100000"),
        (f"{PRICED}web_search = inf", "prices.claude-x-1.web_search: must be a number from 0 to 100000"),
        (f"{PRICED}web_search = '1'", "prices.claude-x-1.web_search: must be a number from 0 to 100000"),
        (f"{PRICED}web_search = true", "prices.claude-x-1.web_search: must be a number from 0 to 100000"),
        (PRICED.replace("claude-x-1", ""), 'prices."": must be the name of a model'),
        (PRICED.replace("claude-x-1", "x" * 201), "must be the name of a model, of at most 200 characters"),
        (PRICED.replace("claude-x-1", "a b"), 'prices."a b": must be the name of a model'),
        (PRICED.replace("claude-x-1", "a\\u001b"), "must be the name of a model"),
    ],
)
def test_prices_that_do_not_fit(write: Write, text: str, told: str) -> None:
    """The file, the model, the key and what is allowed are named in one sentence."""
    path = write(f"{text}\n")
    error = refused(path)
    assert error.message.startswith(f"{path}: ")
    assert told in error.message
    assert error.problems == ()


def test_every_problem_of_the_prices_is_told(write: Write) -> None:
    """Several in one table, and in others, are told at once."""
    error = refused(write("[prices.x]\ninput = -1\nzzz = 1\n[prices.y]\n[watch]\ndepth = 99\n"))
    told = "\n".join([error.message, *error.problems])
    for part in ("prices.x.input", "prices.x.zzz", "prices.x.output", "prices.y.input", "watch.depth"):
        assert part in told, part
