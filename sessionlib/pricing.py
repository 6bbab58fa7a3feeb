"""What a model's answer costs, by a table of prices that comes with a library, or by overrides.

No network, no files of ours, no database: the table is data inside the installed library, genai-prices, whose
version stands beside each cost. It takes a third of a second and 20 MB to import, so it waits for the first
model without an override.

Sums are those of the client: each kind of token times its price, without the table's second price for long
prompts of some models, which the client does not know. One model has such a price in the client as well.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from sessionlib.config import ModelPrice

if TYPE_CHECKING:
    from genai_prices.types import MatchLogic, ModelInfo, TieredPrices
    from genai_prices.types import ModelPrice as Listed

_NAME_MOST = 200
"""Characters of the longest name of a model that is looked up."""

_REMEMBERED = 4096
"""Prices of (model, day) that are remembered; after that many we start afresh."""

_PER_MILLION, _PER_THOUSAND = 10**6, 10**9
"""Prices are kept as whole numbers of 10**-12 USD for one, so that sums are exact and quick."""

_WHOLE = Context(prec=400)

_NOT_AT_THE_CLIENT = 200_000
"""Tokens of a prompt above which the table has a second price that the client does not know."""

_WRITE_5M, _WRITE_1H = Decimal("1.25"), Decimal(2)
"""What it costs to write to the cache, in prices of input, where only that is known."""

_BEDROCK = re.compile(r"(?:[a-z-]{2,8}\.)?anthropic\.(?P<name>.+?)(?:-v\d+(?::\d+)?)?", re.ASCII)
_VERTEX = re.compile(r"@(?=\d{8}\Z)", re.ASCII)
_DATE = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2}|latest)\Z", re.ASCII)
_LONG_CONTEXT = "[1m]"


class Tokens(NamedTuple):
    """What one answer has used. `input` is without what was read from or written to the cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    web_searches: int = 0


class Priced(NamedTuple):
    """A cost in USD with nine places, and what gave it.

    `source` is "table", and then `version` is the library's, or "override", and then it is a digest of it.
    """

    cost_usd: Decimal
    source: str
    version: str


class _Names(NamedTuple):
    """A model's name as given, without what a provider has put around it, and then without its date."""

    given: str
    plain: str
    undated: str


class _Rates(NamedTuple):
    """The prices of one model; `steps` begin with (-1, …) and rise.

    A step holds what is paid for one of each kind of `Tokens` when the prompt has more tokens than the step's
    first number. None is not for sale, or its price is not known.
    """

    steps: tuple[tuple[int, tuple[int | None, ...]], ...]
    source: str
    version: str


class Prices:
    """Prices of models; safe to use from any thread. Blocks once, for the import of the table."""

    def __init__(self, overrides: Mapping[str, ModelPrice] = MappingProxyType({})) -> None:
        self._overrides = {name.strip().lower(): _overriding(price) for name, price in overrides.items()}
        self._known: dict[tuple[str, date], _Rates | None] = {}

    def cost_of(self, model: str, at: datetime, tokens: Tokens) -> Priced | None:
        """Return what one answer of a model cost at that time.

        Args:
            model: The model's name as the client spells it, also as Bedrock and Vertex do.
            at: When it answered, with its time zone.
            tokens: What it used. Of several answers together only where long prompts cost the same as short.

        Returns:
            None for a model that is not known by exactly this name, and for one without a price for something
            that was used.

        Raises:
            ValueError: A number of tokens is negative, or `at` has no time zone.
        """
        if min(tokens) < 0:
            raise ValueError(f"tokens cannot be negative: {tokens}")
        if at.tzinfo is None:
            raise ValueError("the time of an answer needs its time zone")
        at = at.astimezone(UTC)
        key = (model, at.date())
        try:
            rates = self._known[key]
        except KeyError:
            rates = self._find(model, at)
        return None if rates is None else _cost(rates, tokens)

    def _find(self, model: str, at: datetime) -> _Rates | None:
        if len(model) > _NAME_MOST:
            return None
        names = _names(model)
        rates, lasts = next((self._overrides[name] for name in names if name in self._overrides), None), True
        if rates is None:
            rates, lasts = _listed(names.plain, names.undated, at)
        if lasts:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[model, at.date()] = rates
        return rates


def _cost(rates: _Rates, tokens: Tokens) -> Priced | None:
    per_unit = rates.steps[0][1]
    if len(rates.steps) > 1:
        prompt = tokens.input + tokens.cache_read + tokens.cache_write_5m + tokens.cache_write_1h
        per_unit = next(step for above, step in reversed(rates.steps) if prompt > above)
    total = 0
    for count, price in zip(tokens, per_unit, strict=True):
        if count:
            if price is None:
                return None
            total += count * price
    return Priced(Decimal((total + 500) // 1000).scaleb(-9, _WHOLE), rates.source, rates.version)


def _names(model: str) -> _Names:
    given = model.strip().lower()
    plain = given.removesuffix(_LONG_CONTEXT)
    if bedrock := _BEDROCK.fullmatch(plain):
        plain = bedrock["name"]
    plain = _VERTEX.sub("-", plain)
    return _Names(given, plain, _DATE.sub("", plain))


def _overriding(price: ModelPrice) -> _Rates:
    usual = Decimal(repr(price.input))
    per_million = (
        usual,
        *(_decimal(amount) for amount in (price.output, price.cache_read)),
        usual * _WRITE_5M if price.cache_write_5m is None else _decimal(price.cache_write_5m),
        usual * _WRITE_1H if price.cache_write_1h is None else _decimal(price.cache_write_1h),
    )
    search = _decimal(price.web_search)
    per_unit = (*(_scaled(amount, _PER_MILLION) for amount in per_million), _scaled(search, 10**12))
    digest = sha256(repr(per_unit).encode()).hexdigest()[:12]
    return _Rates(((-1, per_unit),), "override", digest)


def _decimal(amount: float | None) -> Decimal | None:
    return None if amount is None else Decimal(repr(amount))


def _scaled(amount: Decimal | None, factor: int) -> int | None:
    return None if amount is None else int((amount * factor).to_integral_value())


def _listed(plain: str, undated: str, at: datetime) -> tuple[_Rates | None, bool]:
    """Return the table's prices for a model, and whether they are the same all day."""
    from genai_prices import __version__  # noqa: PLC0415 - takes long, and not everybody needs it
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415
    from genai_prices.types import TimeOfDateConstraint  # noqa: PLC0415

    providers = get_snapshot().providers
    provider = next(
        (each for each in providers if each.model_match and each.model_match.is_match(plain)), None
    )
    model = provider.find_model(plain) if provider else None
    # The library takes the beginning of a name for the whole; one that goes on otherwise is another model.
    if provider is None or model is None or undated not in _spellings(model):
        return None, True
    conditional = model.prices if isinstance(model.prices, list) else []
    lasts = not any(isinstance(price.constraint, TimeOfDateConstraint) for price in conditional)
    steps = _steps(model.get_prices(at), is_clients=provider.id == "anthropic")
    return _Rates(steps, "table", __version__), lasts


def _spellings(model: "ModelInfo") -> set[str]:
    return {_DATE.sub("", name.lower()) for name in (model.id, *_literals(model.match))}


def _literals(clause: "MatchLogic") -> Iterator[str]:
    """Yield the names, and the beginnings of names, by which the library knows a model."""
    from genai_prices.types import ClauseEquals, ClauseOr, ClauseStartsWith  # noqa: PLC0415

    if isinstance(clause, ClauseOr):
        for each in clause.or_:
            yield from _literals(each)
    elif isinstance(clause, ClauseEquals):
        yield clause.equals
    elif isinstance(clause, ClauseStartsWith):
        yield clause.starts_with


def _steps(listed: "Listed", *, is_clients: bool) -> tuple[tuple[int, tuple[int | None, ...]], ...]:
    """Return what is paid by length of the prompt; of the client's own models as the client does."""
    keys = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
    amounts: list[Decimal | TieredPrices | None] = [getattr(listed, f"{key}_mtok") for key in keys]
    starts = {tier.start for amount in amounts for tier in getattr(amount, "tiers", ())}
    if is_clients:
        starts.discard(_NOT_AT_THE_CLIENT)
    steps = []
    for above in (-1, *sorted(starts)):
        paid = [_at(amount, above) for amount in amounts]
        usual = paid[0]
        if is_clients and usual is not None:
            paid[3] = usual * _WRITE_5M if paid[3] is None else paid[3]
            paid[4] = usual * _WRITE_1H if paid[4] is None else paid[4]
        searches = _scaled(_at(listed.web_searches_kcount, above), _PER_THOUSAND)
        steps.append((above, (*(_scaled(amount, _PER_MILLION) for amount in paid), searches)))
    return tuple(steps)


def _at(amount: "Decimal | TieredPrices | None", above: int) -> Decimal | None:
    """Return a price for prompts of more tokens than that."""
    if amount is None or isinstance(amount, Decimal):
        return amount
    reached = [tier.price for tier in amount.tiers if tier.start <= above]
    return reached[-1] if reached else amount.base
