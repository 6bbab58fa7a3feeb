"""Broken configurations, made by code: every key with what it does not take, and files that are no TOML."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

from sessionlib.config import sections


class Broken(NamedTuple):
    """One configuration file that cannot be used.

    Attributes:
        name: Of the case.
        content: Of the file.
        told: What the message must say beside the file's name.
        secret: What it must not say.
    """

    name: str
    content: bytes
    told: str
    secret: str = ""


_TEXTS = {
    "empty section name": ("[]\n", "line 1"),
    "no value": ("[watch]\ndepth =\n", "line 2"),
    "no key": ("[watch]\n= 1\n", "line 2"),
    "no quotes": ("[log]\nlevel = info\n", "line 2"),
    "quotes left open": ('[log]\nlevel = "info\n', "line 2"),
    "brackets left open": ('[watch]\nroots = ["/a",\n', "at end of document"),
    "a key twice": ("[watch]\ndepth = 1\ndepth = 2\n", "line 3"),
    "a section twice": ("[watch]\ndepth = 1\n[watch]\nquiet = 1\n", "line 3"),
    "a key that is a section": ("[watch]\n[watch.depth]\nx = 1\n", "watch.depth"),
    "a control character": ('[log]\nlevel = "\x01"\n', "line 2"),
    "a wrong escape": ('[log]\nfile = "C:\\logs"\n', "line 2"),
    "an endless number": (f"[watch]\ndepth = {'9' * 5000}\n", "digits"),
    "a bare return": ("[watch]\rdepth = 1\r", "line 1"),
    "deep lists": (f"[watch]\nroots = {'[' * 5000}{']' * 5000}\n", "nested too deeply"),
    "deep tables": ("[watch]\nroots = " + "{a=" * 5000 + "1" + "}" * 5000 + "\n", "nested too deeply"),
    "json": ('{"watch": {"depth": 1}}', "line 1"),
    "yaml": ("watch:\n  depth: 1\n", "line 1"),
    "an unknown section": ("[wach]\ndepth = 1\n", "did you mean watch?"),
    "an unknown key": ("[watch]\ndeepth = 1\n", "did you mean depth?"),
    "a key at the top": ("depth = 1\n", "depth belongs in [watch]"),
    "a key of an older version": ("[daemon]\nlog_level = 'info'\n", "log_level is level in [log] now"),
    "a section as a list": ("[[watch]]\ndepth = 1\n", "must be a table"),
    "a section as a value": ("watch = 1\n", "must be a table"),
    "a root that is a file": ('[watch]\nroots = ["/dev/null"]\n', "is not a folder"),
    "a folder that is no URL": ('[daemon]\nstate_dir = "file:///x"\n', "must be a path, not a URL"),
    "a name too long": (f'[log]\nfile = "/{"x" * 300}"\n', "at most 255 bytes"),
    "a path too long": (f'[watch]\nroots = ["{"/xy" * 3000}"]\n', "4000 in all"),
    "a listener for all": ('[control]\nlisten = "0.0.0.0:80"\n', "must be 127.0.0.1:PORT"),
    "a port that is none": ('[control]\nlisten = "localhost:99999"\n', "with a port from 1 to 65535"),
    "a star for pages": ('[control]\norigins = ["*"]\n', "every web page"),
    "an order that cannot be": ("[watch]\nquiet = 5.0\nlongest_delay = 1.0\n", "watch.quiet"),
    "a database of another kind": ('[database]\nurl = "mysql://host/name"\n', "database"),
    "a database that is no URL": ('[database]\nurl = "nonsense"\n', "database"),
    "a port that is no number": ('[database]\nurl = "postgresql://host:port/name"\n', "database"),
    "two databases": ('[database]\nurl = "sqlite:////x"\nurl_file = "/y"\n', "only one of them"),
    "a secret's file that is not there": ('[database]\nurl_file = "/nowhere/dsn"\n', "cannot be used"),
    "a token's file that is not there": (
        '[control]\nlisten = "127.0.0.1:7717"\ntoken_file = "/nowhere/token"\n',
        "the token in /nowhere/token cannot be used",
    ),
    "a host that is no UUID": ('[daemon]\nhost_id = "anvil"\n', "must be a UUID"),
    "prices that are no tables": ('[prices]\n"claude-x" = 3\n', "must be a table"),
    "a price below nothing": (
        '[prices."claude-x"]\ninput = -1\noutput = 1\ncache_read = 1\n',
        "must be a number from 0 to 100000 (USD), not -1",
    ),
    "half a price": (
        '[prices."claude-x"]\ninput = 1\noutput = 1\n',
        "prices.claude-x.cache_read: is missing",
    ),
    "a price of nothing": ('[prices."claude-x"]\n', "is missing"),
    "several at once": ("[watch]\ndepth = -1\nquiet = 'no'\n[log]\nlevel = 7\n", "log.level"),
}
_BYTES = {
    "utf-16": ("[watch]\ndepth = 99\n".encode("utf-16"), "it is written in UTF-16; save it as UTF-8"),
    "latin-1": (b"# caf\xe9\n[watch]\ndepth = 1\n", "it is not UTF-8 (byte 5)"),
    "NUL": (b"[watch]\ndepth = \x00\n", "line 2"),
    "binary": (bytes(range(256)) * 20, "cannot read the configuration"),
    "50 MB": (b"# \n" * 17_500_000, "it is larger than 1024 KiB"),
    "a mark of order, and a mistake": (b"\xef\xbb\xbf[watch]\ndepth = 99\n", "from 0 to 32"),
    "lines of another system, and a mistake": (b"[watch]\r\ndepth = 99\r\n", "from 0 to 32"),
}
_URLS = (
    "postgresql://me:hunter2@host/db?port=x",
    "postgresql://me:hunter2@host:notaport/db",
    "mysql://me:hunter2@host/db",
    "postgresql://me:hun@ter2@host:x/db",
    "me:hunter2@host",
    "nonsense?password=hunter2",
    "sqlite://me:hunter2@host/x.db",
    "postgresql://me:hunter2@[::1/db",
)
_WRONG: dict[str, tuple[str, ...]] = {
    "bool": ('"yes"', "1", "[]", "{}"),
    "int": ('"4"', "1.5", "true", "-1", "99999999999999999999", "[]", "1979-05-27"),
    "float": ('"4"', "nan", "-inf", "-1", "1e300", "true", "{}"),
    "str": ("7", "true", "[]", "{ a = 1 }", "1979-05-27T07:32:00Z"),
    "path": ("7", '""', "true", "[]", '"~nobody-of-that-name/x"'),
    "list": ("7", '"x"', "[7]", "[[]]", "{}", '[""]'),
}


def cases() -> Iterator[Broken]:
    """Yield every case."""
    for name, (text, told) in _TEXTS.items():
        yield Broken(name, text.encode(), told)
    for name, (content, told) in _BYTES.items():
        yield Broken(name, content, told)
    for number, url in enumerate(_URLS):
        text = f'[database]\nurl = "{url}"\n'
        yield Broken(f"password {number}", text.encode(), "", secret="hun")
    yield from _values()


def _values() -> Iterator[Broken]:
    """Yield each key with values of other types and out of range."""
    for section, model in sections().items():
        for key, field in model.model_fields.items():
            for value in _WRONG[_kind(field.annotation)]:
                name = f"{section}.{key} = {value}"
                yield Broken(name, f"[{section}]\n{key} = {value}\n".encode(), f"{section}.{key}")


def _kind(annotation: Any) -> str:
    """Return which kind of value a key takes; of an optional one, that of what it may be."""
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    if get_origin(annotation) is tuple:
        return "list"
    if hasattr(annotation, "__metadata__"):
        return _kind(annotation.__origin__)
    if annotation in {bool, int, float}:
        return str(annotation.__name__)
    if annotation is Path:
        return "path"
    if kinds and not isinstance(kinds[0], str):
        return _kind(kinds[0])
    return "str"


def odd_files(folder: Path) -> dict[str, Path]:
    """Make things that are no files to read a configuration from; return them by what they are."""
    import os  # noqa: PLC0415 - beside its use

    found = {name: folder / name for name in ("folder", "pipe", "loop", "gone", "dangling", "zeros")}
    found["folder"].mkdir()
    os.mkfifo(found["pipe"])
    found["loop"].symlink_to(found["loop"])
    found["dangling"].symlink_to(folder / "nothing")
    found["zeros"].symlink_to("/dev/zero")
    found["below a file"] = Path("/dev/null/config.toml")
    found["a name too long"] = folder / ("x" * 5000)
    return found
