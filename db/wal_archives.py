"""The archive of a folder of backups, DIR/wal: the WAL segments that the server has completed, each compressed.

Postgres runs a shell command for each segment, and keeps the segment until the command succeeds. The command writes to
a draft, waits for the disk, and renames: a segment in the archive is complete. A segment that is there already must be
the same, so a second server that archives to the same folder fails instead of replacing what the first one wrote.
"""

from __future__ import annotations

import gzip
import re
import shlex
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SEGMENT_BYTES = 16 * 1024 * 1024
TIMEOUT_SECONDS = 300  # a segment is completed after this time, if something was written to it
_SEGMENTS_PER_LOG = 0x100000000 // SEGMENT_BYTES
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})\.gz")
_ARCHIVES_TO = re.compile(r"\btest -e (.*?)/%f\.gz; then ")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A piece of the WAL, by timeline and number."""

    timeline: int
    number: int

    @classmethod
    def of(cls, timeline: int, lsn: str) -> Segment:
        """The one that contains this position."""
        high, low = lsn.split("/")
        return cls(timeline, ((int(high, 16) << 32) + int(low, 16)) // SEGMENT_BYTES)

    @property
    def name(self) -> str:
        log, part = divmod(self.number, _SEGMENTS_PER_LOG)
        return f"{self.timeline:08X}{log:08X}{part:08X}"


def archive_command(wal: Path) -> str:
    folder = _quoted(wal)
    there, draft = f"{folder}/%f.gz", f"{folder}/%f.new"
    keep = f"gzip -c %p > {draft} && sync {draft} && mv {draft} {there} && sync {folder}"
    return f"if test -e {there}; then gzip -dc {there} | cmp -s - %p; else {keep}; fi"


def folder_of(archive_command: str) -> str | None:
    """Where a server archives to, if it is one of our commands."""
    found = _ARCHIVES_TO.search(archive_command)
    return "".join(shlex.split(found.group(1))).replace("%%", "%") if found else None


def restore_command(wal: Path) -> str:
    there = f"{_quoted(wal)}/%f.gz"
    return f"test -e {there} && gzip -dc {there} > %p"


def _quoted(folder: Path) -> str:
    return shlex.quote(str(folder)).replace("%", "%%")


def segments(wal: Path) -> list[Segment]:
    found = (_SEGMENT.fullmatch(path.name) for path in wal.iterdir())
    return sorted(Segment(int(m[1], 16), int(m[2], 16) * _SEGMENTS_PER_LOG + int(m[3], 16)) for m in found if m)


def file_of(wal: Path, segment: Segment) -> Path:
    return wal / f"{segment.name}.gz"


def damage(wal: Path, first: Segment) -> Iterator[str]:
    """What is wrong with the segments from this one on, up to the last of its timeline."""
    there = [segment.number for segment in segments(wal) if segment.timeline == first.timeline]
    for number in range(first.number, max(there, default=0) + 1):
        file = file_of(wal, Segment(first.timeline, number))
        try:
            with gzip.open(file) as content:
                size = sum(len(part) for part in iter(lambda: content.read(1 << 20), b""))
            if size != SEGMENT_BYTES:
                yield f"{file}: has {size} bytes instead of {SEGMENT_BYTES}"
        except FileNotFoundError:
            yield f"{file}: is missing"
        except (OSError, EOFError, zlib.error) as error:
            yield f"{file}: is damaged: {error}"
