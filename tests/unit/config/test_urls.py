"""Database URLs: the password in them, and which database they mean."""

import pytest

from sessionlib.config import DatabaseConfig, masked, names_no_host, refuse_password
from sessionlib.config.urls import same_database
from sessionlib.errors import ConfigError

SECRET = "c4nary"
URL = f"postgresql://ann:{SECRET}@host/name"

ODD_URLS = [
    URL,
    f"postgresql+psycopg://ann:{SECRET}@/name?host=/tmp",
    f"postgresql://ann:se#cr/{SECRET}?@host/name",
    f"postgresql://ann:x@{SECRET}@host/name",
    f"postgresql://ann:x@y/{SECRET}@host/name",
    f"postgresql://:{SECRET}@host/name",
    f"postgresql://ann:{SECRET}@[::1/name",
    f"postgresql://ann@host/name?password={SECRET}",
    f"postgresql://ann@host/name?x=1&PassWord={SECRET}",
    f"postgresql://ann@host/name?sslpassword={SECRET}&x=1",
    f"ann:{SECRET}@host/name",
    f"postgresql:/ann:{SECRET}@host/name",
    f"host=x password={SECRET}",
]


@pytest.mark.parametrize("url", ODD_URLS)
def test_masked_url(url: str) -> None:
    """Whatever form it has, the password does not show."""
    assert SECRET not in masked(url)
    assert SECRET not in repr(DatabaseConfig(url=url))
    assert "***" in masked(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "postgresql://ann:***@host/name"),
        ("postgresql://ann@host/name?password=x&a=1", "postgresql://ann@host/name?password=***&a=1"),
        ("postgresql://ann@host:5432/name", "postgresql://ann@host:5432/name"),
        ("sqlite:////home/a:b@c/mirror.db", "sqlite:////home/a:b@c/mirror.db"),
        ("", ""),
    ],
)
def test_masked_url_keeps_the_rest(url: str, shown: str) -> None:
    """What is no password stays readable."""
    assert masked(url) == shown


@pytest.mark.parametrize("url", [url for url in ODD_URLS if "://" in url])
def test_password_on_the_command_line(url: str) -> None:
    """A URL with a password is refused where every user can read it, and not repeated."""
    with pytest.raises(ConfigError) as caught:
        refuse_password(url)
    assert "SESSIOND_DATABASE_URL" in str(caught.value.hint)
    assert url not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////home/a:b@c/mirror.db",
        "sqlite:///mirror.db",
        "postgresql://ann@host:5432/name",
        "postgresql://host/name?user=ann",
        "postgresql:///name?host=/run/postgresql",
        "",
    ],
)
def test_url_without_a_password(url: str) -> None:
    """A URL without one passes."""
    refuse_password(url)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("postgresql://ann:a@host/name", "postgresql://bob:b@host/name", True),
        ("postgresql://host/name", "postgres+psycopg://ann@host/name?sslmode=require", True),
        ("postgresql://ann@host/name?application_name=a@b", "postgresql://ann@host/name", True),
        ("postgresql://ann:p/w?d@host/name", "postgresql://ann@host/name", True),
        ("postgresql://ann@host/name", "postgresql://ann@host/other", False),
        ("postgresql://ann@host/name", "postgresql://ann@host:5433/name", False),
        ("postgresql://ann@/name?host=/a", "postgresql://ann@/name?host=/b", False),
        ("postgresql://host/name", "postgresql://host/name?dbname=other", False),
        ("sqlite:////a.db", "sqlite:////a.db", True),
        ("sqlite:////a.db", "sqlite:////b.db", False),
        ("sqlite:////a.db", "postgresql://host/a", False),
    ],
)
def test_same_database(one: str, other: str, same: bool) -> None:
    """Two URLs mean one database when only the way in differs."""
    assert same_database(one, other) is same_database(other, one) is same


@pytest.mark.parametrize(
    ("url", "none"),
    [
        ("postgresql:///name", True),
        ("postgresql://ann@/name", True),
        ("postgresql://ann:x@", True),
        ("postgresql://host/name", False),
        ("postgresql:///name?host=/run/postgresql", False),
        ("postgresql:///?service=mirror", False),
        ("sqlite:////x.db", False),
        ("", False),
    ],
)
def test_url_that_names_no_host(url: str, none: bool) -> None:
    """A server's URL without a host leaves it to the client library."""
    assert names_no_host(url) is none
