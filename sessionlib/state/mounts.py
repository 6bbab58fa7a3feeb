"""Which file systems tell nobody about their changes.

The kernel only reports what passes through it. On a network or host-shared file system another machine writes
behind its back, so that watches stand and stay silent: such folders must be polled.
"""

import re
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")

SILENT_TYPES = frozenset(
    {
        # Shared with the host of a virtual machine.
        *("9p", "drvfs", "virtiofs", "vboxsf", "prl_fs", "vmhgfs"),
        # Shared with other machines.
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs"),
        *("afs", "beegfs", "ceph", "gfs2", "gpfs", "lustre", "ocfs2"),
    }
)

_MOUNT_POINT = 4  # which field of a line, see proc_pid_mountinfo(5)
_ESCAPE = re.compile(r"\\([0-7]{3})")


def is_silent(fs_type: str | None) -> bool:
    """Return whether changes on this type of file system may raise no event here.

    Every `fuse*` counts: what stands behind one cannot be told from its name.
    """
    return fs_type is not None and (
        fs_type in SILENT_TYPES or fs_type == "fuse" or fs_type.startswith(("fuse.", "fuseblk"))
    )


def parse_mountinfo(text: str) -> list[tuple[str, str]]:
    """Return (mount point, file-system type) of each line of a mountinfo file, in its order."""
    mounts = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) > _MOUNT_POINT:
            mounts.append((_unescape(fields[_MOUNT_POINT]), after.split(" ", 1)[0]))
    return mounts


def type_at(real_path: str, mounts: list[tuple[str, str]]) -> str | None:
    """Return the type of the file system that holds a path, which need not exist; None when unknown.

    Of several mounts on one point the last one is seen, as in the kernel.

    Args:
        real_path: An absolute path without links.
        mounts: What `read_mounts` returned, or the part of it that matters.
    """
    found, longest = None, -1
    for point, fs_type in mounts:
        inside = real_path == point or real_path.startswith(point if point.endswith("/") else point + "/")
        if inside and len(point) >= longest:
            found, longest = fs_type, len(point)
    return found


def read_mounts() -> list[tuple[str, str]]:
    """Return the mounts of this process, or an empty list where the system does not list them."""
    try:
        return parse_mountinfo(MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError:
        return []


def _unescape(field: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)
