"""What usage records cost."""

from collections.abc import Callable, Mapping

from sessionlib.config import ModelPrice
from sessionlib.db.execution_rows import UsageRow
from sessionlib.pricing import Prices, Tokens


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
