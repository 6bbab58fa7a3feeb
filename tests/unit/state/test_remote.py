"""One spelling for all addresses of a repository."""

import pytest

from sessionlib.state.checkout import normalise_remote


@pytest.mark.parametrize(
    "url",
    [
        "git@host.example:a/b.git",
        "git@Host.Example:a/b",
        "host.example:a/b/",
        "git@host.example:/a/b.git/",
        "ssh://git@host.example/a/b.git",
        "ssh://git@host.example:22/a/b",
        "https://host.example/a/b.git",
        "https://host.example:443/a/b/",
        "https://user:to%40ken@HOST.example./a/b.git?x=1#y",
        "https://us@er:pa:ss@host.example/a/b",
        "http://host.example:80/a/b",
        "git://host.example:9418/a/b.git",
        "git+ssh://git@host.example/a/b",
        "ssh://host.example:/a/b",
        "  https://host.example/a/b \n",
    ],
)
def test_all_spellings_are_one(url: str) -> None:
    """Scheme, credentials, default ports, endings and case of the host do not matter."""
    assert normalise_remote(url) == "host.example/a/b"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ssh://git@host.example:2222/a/b.git", "host.example:2222/a/b"),
        ("http://host.example:443/a/b", "host.example:443/a/b"),
        ("https://host.example/A/B.git", "host.example/A/B"),
        ("https://[2001:DB8::1]:8443/a/b", "[2001:db8::1]:8443/a/b"),
        ("git@[2001:db8::1]:a/b", "[2001:db8::1]/a/b"),
        ("ssh://host.example/~me/b.git", "host.example/~me/b"),
        ("https://host.example/b", "host.example/b"),
        ("https://host.example/a.git.git", "host.example/a.git"),
    ],
)
def test_what_makes_a_difference_stays(url: str, expected: str) -> None:
    """Foreign ports, the case of the path, and addresses of numbers are kept."""
    assert normalise_remote(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        ".",
        "/srv/git/a.git",
        "./a",
        "../a/b",
        "~/a",
        "a/b",
        "file:///srv/git/a.git",
        "C:/repos/a",
        "C:\\repos\\a",
        "https://host.example",
        "https://host.example/.git",
        "https:///a/b",
        "https://host.example:port/a",
        "ext::sh -c evil",
        "helper::https://host.example/a",
        "host.example:",
        "foo://host.example/a",
        "https://host.example/a\x07b",
        "git@host.example:a\nb",
    ],
)
def test_local_and_senseless_addresses_are_none(url: str) -> None:
    """A path is no remote, and neither is what only a helper understands."""
    assert normalise_remote(url) is None
