"""Where a store may lie: a POSIX file system of one host, tried out before it is trusted."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Final

from clv_forecast.errors import DomainError
from clv_forecast.runs.store.durable_files import flush, link_durably, writing
from clv_forecast.runs.store.lock import FULL
from clv_forecast.tables.connection_url import is_url

SUPPORTED: Final = "Supported store: a POSIX file system, one host at a time."
_POSIX: Final = os.name == "posix"
_MOUNTS: Final = Path("/proc/self/mounts")
# File systems that several hosts may write to at once, or that only look like one
_SHARED: Final = re.compile(
    r"(nfs|cifs|smb|ncpfs|afs|coda|ceph|lustre|gpfs|beegfs|glusterfs|ocfs2|gfs2|davfs|vboxsf|prl_fs)\w*"
    r"|fuse\.(sshfs|s3\w*|gcs\w*|rclone|goofys|blobfuse\w*|mount-?s3|mountpoint-s3|glusterfs|ceph\w*|juicefs|davfs\w*"
    r"|hdfs|alluxio\w*|dbfs|lustre|moosefs|mfs|curlftpfs|google-drive\w*)"
)
_NOT_ABLE: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})


def check_place(folder: str | os.PathLike[str]) -> Path:
    """Resolve the path of a store, after looking at what can be seen from the path alone.

    Raises
    ------
    DomainError
        If it is a URL, or a place that several hosts share, or the system is not POSIX.

    Examples
    --------
    >>> check_place("s3://bucket/runs")
    Traceback (most recent call last):
    ...
    clv_forecast.errors.DomainError: Supported store: a POSIX file system, one host at a time. Got: a text with a URL.
    """
    written = os.fspath(folder)
    if not _POSIX or is_url(written) or "\0" in written:
        raise _unsupported("a text with a URL" if is_url(written) else written)
    place = Path(written).expanduser().resolve()
    kind = _file_system(place)
    if _SHARED.fullmatch(kind):
        raise _unsupported(f"{place}, which lies on {kind}")
    return place


def check_abilities(folder: Path) -> None:
    """Try in an empty folder of the store's own what a store rests on: renaming, links, and locks that exclude.

    Raises
    ------
    DomainError
        If the place lacks one of them.
    StoreError
        If it cannot be written at all. A full disk proves nothing: what is written next will say so.
    """
    lacking = ""
    try:
        lacking = _lacking(folder)
    except OSError as error:
        if error.errno not in _NOT_ABLE | FULL:
            with writing(folder):
                raise
        lacking = "" if error.errno in FULL else str(error)
    if lacking:
        raise _unsupported(f"{folder}: {lacking}")


def _lacking(scratch: Path) -> str:
    """What the place cannot do, in words; empty when it can do all."""
    import fcntl

    for name in ("first", "second"):
        (scratch / name).mkdir()
        link_durably(scratch / "link", name, scratch)
    if os.readlink(scratch / "link") != "second":
        return "a symbolic link is not replaced by renaming"
    (scratch / "first").rename(scratch / "third")
    flush(scratch)
    with (scratch / "lock").open("w") as one, (scratch / "lock").open("w") as other:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ""
    return "its locks do not exclude"


def _file_system(place: Path) -> str:
    """Kind of the file system that a path lies on; empty where the system does not tell."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    kind, longest = "", -1
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[1]))
        # of two mounts on one point the later one is seen
        if len(point.parts) >= longest and place.is_relative_to(point):
            kind, longest = fields[2], len(point.parts)
    return kind


def _unsupported(found: str) -> DomainError:
    return DomainError(SUPPORTED, value=found)
