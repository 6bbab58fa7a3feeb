"""Column types that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, TIMESTAMP, Dialect, Numeric, Text, TypeDecorator, Uuid
from sqlalchemy.types import TypeEngine
from typing_extensions import override

from sessionlib.errors import DamagedValueError

TextType = Text().with_variant(Text(collation="C"), "postgresql")
"""Text compared by code point on both, so that both databases sort alike whatever the server's locale."""


class _Jsonb(TypeDecorator[Any]):
    """JSONB. PostgreSQL's dialect is imported where it is spoken alone: it is a twentieth of a start."""

    impl = JSON
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        from sqlalchemy.dialects.postgresql import JSONB  # noqa: PLC0415

        return dialect.type_descriptor(JSONB(none_as_null=True))


def _json_type() -> TypeEngine[Any]:
    return JSON(none_as_null=True).with_variant(_Jsonb(none_as_null=True), "postgresql")


JsonType = _json_type()
"""JSONB on PostgreSQL, JSON text on SQLite; Python None is SQL NULL."""


ILLEGIBLE = (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What comes of reading a value that is not what its column holds; their words hold the value."""


@lru_cache(maxsize=1024)
def encode_time(moment: datetime) -> str:
    """Return the fixed-width UTC text that SQLite stores, which sorts as the times do."""
    there = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    # Several times as fast as strftime; and one session says the same time in many of its rows.
    return f"{there.isoformat(timespec='microseconds')[:26]}Z"


def decode_time(text: str) -> datetime:
    """Return the aware datetime that `encode_time` stored.

    Raises:
        ValueError: It is no time, or one without a zone, which cannot be compared with any other.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(text)
    return found


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime: timestamptz on PostgreSQL, fixed-width ISO text ending in Z on SQLite."""

    impl = Text
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(Text())

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"a time without a time zone cannot be stored: {value!r}"
            raise ValueError(message)
        return value if dialect.name == "postgresql" else encode_time(value)

    @override
    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        try:
            return value.astimezone(UTC) if isinstance(value, datetime) else decode_time(value)
        except ILLEGIBLE:
            raise DamagedValueError from None


class Guid(TypeDecorator[UUID]):
    """A UUID: native on PostgreSQL, its 36-character text on SQLite, so that people can paste it."""

    impl = Text
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Uuid())
        return dialect.type_descriptor(Text())

    @override
    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return str(value)

    @override
    def process_result_value(self, value: Any | None, dialect: Dialect) -> UUID | None:
        if value is None or isinstance(value, UUID):
            return value
        try:
            return UUID(value)
        except ILLEGIBLE:
            raise DamagedValueError from None


MONEY_PLACES = 9
"""Digits after the point of an amount: what one token of the cheapest models costs is still exact."""


def encode_money(amount: Decimal) -> float:
    """Return the number that SQLite, which knows no decimal ones, stores."""
    return float(amount)


def decode_money(amount: float | Decimal) -> Decimal:
    """Return the amount that was stored, or the sum of such, without the noise of binary fractions."""
    exact = amount if isinstance(amount, Decimal) else Decimal(repr(amount))
    return round(exact, MONEY_PLACES).normalize() + Decimal(0)


class Money(TypeDecorator[Decimal]):
    """US dollars: NUMERIC(18, 9) on PostgreSQL; on SQLite a number, exact to those digits below a million."""

    impl = Text
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(18, MONEY_PLACES))
        return dialect.type_descriptor(Numeric(18, MONEY_PLACES, asdecimal=False))

    @override
    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else encode_money(value)

    @override
    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:
        try:
            return None if value is None else decode_money(value)
        except ILLEGIBLE:
            raise DamagedValueError from None
