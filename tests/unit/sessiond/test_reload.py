"""What a reload takes over from another configuration."""

from sessiond.reload import merged
from sessionlib.config import Config, LogConfig, ModelPrice, SyncConfig


def test_applied_keys_are_taken_and_others_stay() -> None:
    """A key of a section by itself, and the prices of models as a whole."""
    price = ModelPrice(input=1.0, output=2.0, cache_read=0.1)
    old = Config(prices={"gone": price}, source="old")
    new = Config(
        log=LogConfig(level="debug", format="json"),
        sync=SyncConfig(workers=2),
        prices={"new": price},
        source="new",
    )
    assert merged(old, new, ["log.level", "prices"]) == Config(
        log=LogConfig(level="debug"), prices={"new": price}, source="new"
    )
    assert merged(old, new, ["sync.workers"]).prices == {"gone": price}
