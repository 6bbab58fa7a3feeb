"""Words of a unit file: what systemd makes of them is what was meant."""

import shutil
import subprocess
from pathlib import Path

import pytest

from sessionlib.cli.service import quoting
from sessionlib.errors import UsageError


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("/plain/path-1.2_3:x", "/plain/path-1.2_3:x"),
        ("/a b", '"/a b"'),
        ("/100%h", '"/100%%h"'),
        ("/$HOME/${HOME}", '"/$$HOME/$${HOME}"'),
        ('/q"r', '"/q\\"r"'),
        ("/b\\n", '"/b\\\\n"'),
        ("/two\nlines", '"/two\\nlines"'),
        ("/bell\x07\x7f", '"/bell\\x07\\x7f"'),
        ("/café", '"/café"'),
        ("/line\u2028", '"/line\\xe2\\x80\\xa8"'),
        ("/raw\udcff", '"/raw\\xff"'),
        ("/semi;colon", '"/semi;colon"'),
        ("", '""'),
    ],
)
def test_an_argument_is_one_word_as_it_stands(text: str, written: str) -> None:
    """Spaces, specifiers, variables, quotes, escapes, line breaks and raw bytes mean themselves."""
    assert quoting.argument(text) == written


def test_a_program_keeps_its_dollars() -> None:
    """In the first word of a command, only specifiers are special."""
    assert quoting.program("/opt/$x 1%/sessiond") == '"/opt/$x 1%%/sessiond"'


@pytest.mark.parametrize("path", ['/a"b', "/a'b", "/a\\b", "/a\nb", "/a\x1bb"])
def test_a_program_systemd_would_refuse_is_refused(path: str) -> None:
    """A quote, a backslash or a control character in the program's path ends in a sentence."""
    with pytest.raises(UsageError, match="systemd runs no program with such a path"):
        quoting.program(path)


def test_a_variable_is_quoted_without_doubled_dollars() -> None:
    """Environment lines know specifiers and escapes, and no variables."""
    assert quoting.assignment("A", "/x") == "A=/x"
    assert quoting.assignment("A", '/$x "1%"') == '"A=/$x \\"1%%\\""'
    with pytest.raises(UsageError, match="A cannot be"):
        quoting.assignment("A", "x\ny")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_a_program_of_an_odd_name(tmp_path: Path) -> None:
    """systemd itself finds a program whose path has spaces, dollars, per cents and letters of all kinds."""
    program = tmp_path / "o $d %h é/sessiond"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "odd.service"
    words = [
        quoting.program(str(program)),
        *map(quoting.argument, ("/a b", "/100%h", "/$x", "/l\nm", "/r\udcff")),
    ]
    for line, code in ((" ".join(words), 0), (" ".join(words).replace("%%h", "%%g", 1), 1)):
        unit.write_text(f"[Service]\nExecStart={line}\n")
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", str(unit)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
