"""Definitions on disk: written whole, and nothing of others touched."""

import os
from pathlib import Path

import pytest

from sessionlib.cli.service import files
from sessionlib.cli.service.definitions import MARKER
from sessionlib.cli.service.runner import ServiceError

OURS = f"# {MARKER}.\n[Unit]\n"


def test_a_definition_is_readable_by_all_whatever_the_umask(tmp_path: Path) -> None:
    """Folders are made, the file is 0644, and no other file is left beside it."""
    path = tmp_path / "a/b/x.service"
    before = os.umask(0o077)
    try:
        files.write(path, OURS)
    finally:
        os.umask(before)
    assert (path.read_text(), path.stat().st_mode & 0o777) == (OURS, 0o644)
    files.write(path, OURS + "x")
    assert path.read_text() == OURS + "x"
    assert [each.name for each in path.parent.iterdir()] == ["x.service"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an error the old file stays whole and the half-written one is gone."""
    path = tmp_path / "x.service"
    files.write(path, OURS)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ServiceError, match=r"cannot write .*x.service: No space left on device"):
        files.write(path, "other")
    assert path.read_text() == OURS
    assert [each.name for each in tmp_path.iterdir()] == ["x.service"]


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    """A file where the folder should be is named, and so is a folder where the file should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="cannot write"):
        files.write(tmp_path / "file" / "x.service", OURS)
    with pytest.raises(ServiceError, match="cannot read"):
        files.read(tmp_path)


def test_only_what_we_wrote_is_ours(tmp_path: Path) -> None:
    """Another's file, a link to one of ours and a link to nothing (a masked unit) are foreign, and stay."""
    ours, other, link, mask = (tmp_path / name for name in ("ours", "other", "link", "mask"))
    files.write(ours, OURS)
    other.write_text("[Unit]\n")
    link.symlink_to(ours)
    mask.symlink_to("/dev/null")
    assert [files.is_foreign(path) for path in (ours, other, link, mask, tmp_path / "none")] == [
        False,
        True,
        True,
        True,
        False,
    ]
    for path in (other, link, mask):
        with pytest.raises(ServiceError, match="was not written by"):
            files.remove(path)
        assert os.path.lexists(path)
    files.remove(ours)
    files.remove(tmp_path / "none")
    assert not ours.exists()


def test_a_difference_names_file_and_lines(tmp_path: Path) -> None:
    """A diff shows what goes and what comes; equal texts have none."""
    path = tmp_path / "x"
    assert files.difference(path, "a\nb\n", "a\nb\n") == []
    assert files.difference(path, "a\nb\n", "a\nc\n") == [
        f"--- {path}",
        f"+++ {path} (new)",
        "@@ -1,2 +1,2 @@",
        " a",
        "-b",
        "+c",
    ]
