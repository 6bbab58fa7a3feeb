"""Mounts: which file system holds a path, and whether it tells of its changes."""

import pytest

from sessionlib.state.mounts import is_silent, parse_mountinfo, read_mounts, type_at

MOUNTINFO = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:40 / /home/ann rw shared:7 master:1 - nfs4 server:/ann rw
41 40 0:41 / /home/ann/with\\040space rw - fuse.sshfs host: rw
42 27 0:42 / /mnt rw - ext4 /dev/vdb rw
43 42 0:43 / /mnt rw - 9p drvfs rw
broken
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "ext4"),
        ("/home", "ext4"),
        ("/home/ann", "nfs4"),
        ("/home/ann/code", "nfs4"),
        ("/home/annabel", "ext4"),
        ("/home/ann/with space/x", "fuse.sshfs"),
        ("/mnt/c", "9p"),
    ],
)
def test_type_at(path, expected):
    """The innermost mount counts, of several on one point the last, and only whole names."""
    assert type_at(path, parse_mountinfo(MOUNTINFO)) == expected


def test_unknown():
    """Where no mounts are listed the type is not known, and not silent."""
    assert type_at("/anything", []) is None
    assert not is_silent(None)


@pytest.mark.parametrize(
    "fs_type", ["9p", "nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse", "fuse.sshfs", "fuseblk", "vboxsf"]
)
def test_silent(fs_type):
    """Network and host-shared file systems raise no events for what others change."""
    assert is_silent(fs_type)


@pytest.mark.parametrize("fs_type", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fusectl"])
def test_not_silent(fs_type):
    """Local file systems do."""
    assert not is_silent(fs_type)


def test_this_system():
    """The mounts of this process name the root folder, or nothing is listed here."""
    mounts = read_mounts()
    assert not mounts or type_at("/", mounts)


def test_no_mountinfo(tmp_path, monkeypatch):
    """A system without the file has no mounts to tell."""
    monkeypatch.setattr("sessionlib.state.mounts.MOUNTINFO", tmp_path / "none")
    assert read_mounts() == []
