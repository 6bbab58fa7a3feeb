"""What usage records cost."""

import hashlib
from collections.abc import Callable, Mapping
from importlib.metadata import version

from sessionlib.config import ModelPrice
from sessionlib.db.execution_rows import UsageRow
from sessionlib.pricing import Prices, Tokens


def version_of(overrides: Mapping[str, ModelPrice]) -> str:
    """Return a text that is another one when some price may be."""
    said = repr(sorted((name, price.model_dump()) for name, price in overrides.items()))
    return f"{version('genai-prices')}:{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def pricer(overrides: Mapping[str, ModelPrice]) -> Callable[[UsageRow], UsageRow]:
    """Return what gives a record its cost; one of an unknown model is left without, never at 0.

    Args:
        overrides: Prices that come before those of the table, by model.
    """
    prices = Prices(overrides)

    def priced(row: UsageRow) -> UsageRow:
        found = prices.cost_of(
            row.model,
            row.at,
            Tokens(
                row.input_tokens,
                row.output_tokens,
                row.cache_read_tokens,
                row.cache_write_5m_tokens,
                row.cache_write_1h_tokens,
                row.web_searches,
            ),
        )
        if found is None:
            return row._replace(cost_usd=None, cost_source=None, price_version=None)
        return row._replace(cost_usd=found.cost_usd, cost_source=found.source, price_version=found.version)

    return priced
