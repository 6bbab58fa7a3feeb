"""One spelling for all the addresses of a repository's remote, without anybody's credentials."""

import re

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>[^/?#]*)(?P<path>[^?#]*)")
_SCP = re.compile(r"(?:[^@/:]*@)?(?P<host>\[[^\]]+\]|[^@/:\[\]]{2,}):(?P<path>[^?#]*)")
_HOST = re.compile(r"(?P<name>\[[^\]]*\]|[^:]*)(?::(?P<port>[0-9]*))?")
_DEFAULT_PORTS = {
    "ssh": "22",
    "git+ssh": "22",
    "ssh+git": "22",
    "git": "9418",
    "http": "80",
    "https": "443",
    "ftp": "21",
    "ftps": "990",
}


def normalise_remote(url: str) -> str | None:
    """Return ``host/path`` for a remote's address, or None for a local one and for what is none.

    Scheme, credentials, default port, query, ``.git`` and trailing slashes are dropped, the host is written
    in lower case; ``git@host:a/b.git`` and ``https://token@HOST/a/b/`` are the same repository. Ports that
    are not the scheme's own are kept.
    """
    url = url.strip()
    if "::" in url.partition("[")[0] or not url.isprintable():
        return None  # a transport helper's address means nothing without its helper
    match = _URL.match(url)
    if match is not None:
        return _joined(match["host"].rpartition("@")[2], match["path"], match["scheme"].lower())
    match = _SCP.match(url)
    return None if match is None else _joined(match["host"], match["path"], "ssh")


def _joined(authority: str, path: str, scheme: str) -> str | None:
    match = _HOST.fullmatch(authority)
    if match is None or scheme not in _DEFAULT_PORTS:
        return None
    path = path.strip("/").removesuffix(".git").rstrip("/")
    host = match["name"].lower().rstrip(".")
    if not path or not host:
        return None
    port = match["port"]
    own = f":{port}" if port and port != _DEFAULT_PORTS[scheme] else ""
    return f"{host}{own}/{path}"
