"""No secret reaches a line: neither those we know nor those that look like one."""

import json
import logging
import time
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sessiond.logs.lines import LineFormat, Style
from sessionlib.escaping import escaped
from sessionlib.redaction import Redactor

STYLES = ("logfmt", "json")


def line_of(style: Style, redactor: Redactor, message: str, **more: Any) -> str:
    """Format one record."""
    given = {"name": "sessiond.test", "levelname": "ERROR", "levelno": 40, "event": "e", "created": 1.0}
    return LineFormat(style, redactor).line(logging.makeLogRecord(given | {"msg": message} | more)).decode()


def raised(text: str) -> Any:
    """Return what a chain of exceptions with this text leaves behind."""
    try:
        try:
            {}[text]
        except KeyError as error:
            raise ValueError(f"dsn <{text}>") from error
    except ValueError as error:
        return type(error), error, error.__traceback__


def records_of(secret: str) -> list[dict[str, Any]]:
    """Return records that hold a secret in every way we can think of."""
    nested = {"a": [secret, {"b": secret}], "c": json.dumps({"d": secret})}
    return [
        {"message": f"<{secret}>"},
        {"message": "<%s> <%r>", "args": (secret, secret)},
        {"message": "%d", "args": (secret,)},
        {"message": "m", "fields": {"value": secret, "twice": f"{secret}{secret}", "nested": nested}},
        {"message": "m", "fields": {"bytes": secret.encode(errors="surrogatepass"), "ascii": ascii(secret)}},
        {"message": "m", "fields": {"json": json.dumps([secret]), "twice": json.dumps(json.dumps([secret]))}},
        {"message": "m", "fields": {"url": quote(secret, safe="", errors="replace")}},
        {"message": "m", "fields": {"url": quote_plus(secret, errors="replace").lower()}},
        {"message": "m", "fields": {secret: 1}},
        {"message": "m", "event": secret},
        {"message": "m", "session_dir": secret},
        {"message": "m", "exc_info": raised(secret)},
    ]


@pytest.mark.parametrize("style", STYLES)
@given(secret=st.text(min_size=4).filter(lambda text: "*" not in text), which=st.integers(0, 11))
def test_a_known_secret_is_never_seen(style: Style, secret: str, which: int) -> None:
    """Wherever and however it stands in a record, the line shows neither it nor its escaped form."""
    without = line_of(style, Redactor(), **records_of("x")[which])
    spellings = {secret, escaped(secret)}
    # What a line without it shows as well, such as a word of its frame, gives nothing away.
    assume(not any(spelling in without for spelling in spellings))
    line = line_of(style, Redactor([secret]), **records_of(secret)[which])
    assert not [spelling for spelling in spellings if spelling in line]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("secret", ["hunter2-secret", "p@ss w'o\"rd\\x/%2F", "pä\nß\U000e0001\udcff"])
@pytest.mark.parametrize("which", range(12))
def test_a_known_secret_is_never_seen_in_any_place(style: Style, secret: str, which: int) -> None:
    """The same for plain, awkward and hostile secrets, in every place and spelling."""
    line = line_of(style, Redactor([secret]), **records_of(secret)[which])
    assert secret not in line
    assert escaped(secret) not in line
    assert quote(secret, safe="", errors="replace").lower() not in line.lower()
    # However often it is escaped, without backslashes it looks the same.
    assert secret.replace("\\", "") not in line.replace("\\", "")


@pytest.mark.parametrize("style", STYLES)
@given(secret=st.text(min_size=4).filter(lambda text: "*" not in text))
def test_a_line_stays_readable_whatever_is_secret(style: Style, secret: str) -> None:
    """A secret that is a piece of the line's own frame breaks nothing."""
    line = line_of(style, Redactor([secret]), "m", fields={"a": secret, "b": 'x"\n'})
    assert line.count("\n") == 1
    if style == "json":
        assert json.loads(line)["level"] == "error"


@pytest.mark.parametrize("keep_end", [False, True])
@pytest.mark.parametrize("cut", [2000, 4000, 15_744, 16_000])
def test_no_piece_of_a_secret_stays_where_text_is_cut(*, cut: int, keep_end: bool) -> None:
    """Text is cut after it was cleaned."""
    secret = "S3cr3t-canary-of-some-length"
    for shift in range(-2, len(secret) + 3):
        filling = "." * (cut - shift)
        text = f"{'.' * 20_000}{secret}{filling}" if keep_end else f"{filling}{secret}{'.' * 20_000}"
        more = {"exc_info": (ValueError, ValueError(text), None)} if keep_end else {"fields": {"value": text}}
        line = line_of("json", Redactor([secret]), "m", **more)
        assert not [start for start in range(len(secret) - 3) if secret[start : start + 4] in line], shift


@pytest.mark.parametrize("keep_end", [False, True])
def test_masks_do_not_bring_a_cut_secret_into_sight(*, keep_end: bool) -> None:
    """A text of nothing but secrets gets so short that where it was cut is in the line."""
    secret = "S3cr3t-canary-of-some-length"
    for shift in range(len(secret)):
        text = f"{secret * 700}{'.' * shift}" if keep_end else f"{'.' * shift}{secret * 700}"
        more = {"exc_info": (ValueError, ValueError(text), None)} if keep_end else {"fields": {"value": text}}
        line = line_of("json", Redactor([secret]), "m", **more)
        assert "***" in line
        assert not [start for start in range(len(secret) - 3) if secret[start : start + 4] in line], shift


def test_secrets_may_be_added_later_and_short_ones_are_no_secrets() -> None:
    """A value shorter than four characters would blank out ordinary words."""
    redactor = Redactor(["abc", ""])
    assert redactor.clean("abc hunter2!") == "abc hunter2!"
    redactor.keep("hunter2!")
    redactor.keep("hunter2!more")
    assert redactor.clean("abc hunter2! hunter2!more") == "abc *** ***"


def test_a_line_of_a_key_is_a_secret_by_itself() -> None:
    """A secret of several lines is not shown line by line either."""
    assert Redactor(["-----BEGIN-----\nabcdefgh12345\n"]).clean("got abcdefgh12345") == "got ***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:S3CRET@host/db", "postgresql://me:***@host/db"),
        ("postgresql+psycopg://me:S3@C/RE?T@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("redis://:S3CRET@host", "redis://:***@host"),
        ('postgresql://me:S3"CRET@host', "postgresql://me:***@host"),
        ("https://S3CRETS3CRETS3CRETS3@github.com/x", "https://***@github.com/x"),
        (
            "from 'postgresql://a:S3CRET@h' to 'postgresql://b:S3CRET@h'",
            "from 'postgresql://a:***@h' to 'postgresql://b:***@h'",
        ),
        (
            "postgresql://h/db?user=a&password=S3CRET&sslmode=off",
            "postgresql://h/db?user=a&password=***&sslmode=off",
        ),
        ("GET /events?token=S3CRET#x", "GET /events?token=***#x"),
        ("?access_token=S3CRET&b=c", "?access_token=***&b=c"),
        ("host=h password=S3CRET dbname=d", "host=h password=*** dbname=d"),
        ("host=h password = S3&CR;ET dbname=d", "host=h password = *** dbname=d"),
        (r"host=h password='S3 CR\'ET' dbname=d", "host=h password='***' dbname=d"),
        ("password='S3 CRET never closed", "password='***"),
        ('{"password": "S3 CR\\"ET", "a": 1}', '{"password": "***", "a": 1}'),
        ('{"token":"S3CRET","a":1}', '{"token":"***","a":1}'),
        ("{'api_key': 'S3CRET', 'a': 1}", "{'api_key': '***', 'a': 1}"),
        (r'"{\"secret\": \"S3 CRET\", \"a\": 1}"', r'"{\"secret\": \"***\", \"a\": 1}"'),
        ('level=info client_secret="S3 CRET" a=1', 'level=info client_secret="***" a=1'),
        ("PGPASSWORD=S3CRET psql", "PGPASSWORD=*** psql"),
        ("SSLPASSWORD=S3CRET", "SSLPASSWORD=***"),
        ("X-Api-Key: S3CRET", "X-Api-Key: ***"),
        ("Authorization: Bearer S3CRET.S3CRET", "Authorization: ***"),
        ("authorization=Basic S3CRET==", "authorization=***"),
        ("{'Authorization': 'Bearer S3CRET'}", "{'Authorization': '***'}"),
        ("(b'x', b'Bearer S3CRETS3CRET')", "(b'x', b'Bearer ***')"),
        ("run --password S3CRET --token=S3CRET", "run --password *** --token=***"),
        ("['run', '--api-key', 'S3CRET']", "['run', '--api-key', '***']"),
    ],
)
def test_what_looks_like_a_secret_is_not_shown(text: str, shown: str) -> None:
    """In URLs, connection strings, JSON, headers and command lines, quoted or not."""
    assert Redactor().clean(text) == shown
    assert Redactor().clean(shown) == shown
    assert "CRET" not in line_of("json", Redactor(), text)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me@host/db",
        "http://127.0.0.1:7717/status",
        "ssh://git@host/repository.git",
        "sqlite:////a/b:c@d.db",
        "password authentication failed for user me",
        "input_tokens=512 tokens: 7",
        "token_file=/a/control-token",
        "/a/secrets/token/key",
        "keys: a, b",
        "bearer of news",
        "mail me@host",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Names of users, ports, counts and paths are no secrets."""
    assert Redactor().clean(text) == text


@pytest.mark.parametrize("style", STYLES)
def test_a_field_with_a_telling_name_is_not_shown(style: Style) -> None:
    """Its value needs no look; one that only says yes or no, or counts tokens, is shown."""
    fields = {"password": "S3 CRET", "api_key": 12345, "db_token": "S3CRET", "tokens": 512, "token": True}
    line = line_of(style, Redactor(), "m", fields=fields)
    assert "CRET" not in line
    assert "12345" not in line
    assert "512" in line
    assert "true" in line


def test_hostile_text_does_not_take_long_to_clean() -> None:
    """No pattern runs away on text made to provoke it."""
    redactor = Redactor(["hunter2!"])
    starts = ("://", "://a:", '://a:"', "password", "password='", "token=\\", "--a", "--token ", "?a", "&%")
    for text in [start * 16_000 for start in starts] + [
        start + "\\ -"[n] * 16_000 for start in starts for n in range(3)
    ]:
        began = time.process_time()
        redactor.excerpt(text[:16_000])
        assert time.process_time() - began < 0.5, text[:20]
