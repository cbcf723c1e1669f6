"""Opens product feeds: gzip and zip are recognised, byte order marks too, and lines are of bounded length.

Raises ImportFailed for what cannot be read.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

from domain.feed_mappings import ImportFailed

MAX_RECORD_CHARACTERS = 1 << 20
Stream: TypeAlias = io.BufferedReader

# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# The only methods of which zipfile unpacks a bounded piece at a time: 1 kB of bzip2 may hold gigabytes.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAX_DIRECTORY_BYTES = 1 << 20  # of a zip archive: an entry of 50 bytes takes ten times as much memory
_UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, NotImplementedError)


class RecordTooLong(ValueError):
    """The message is the reason of the reject."""

    def __init__(self) -> None:
        super().__init__(f"record longer than {MAX_RECORD_CHARACTERS} characters")


@contextlib.contextmanager
def opened(path: Path, max_bytes: int | None = None) -> Iterator[Stream]:
    """The bytes of a feed, unpacked; at most so many of a packed one."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            start = file.peek(4)[:4]
        except OSError as error:
            raise ImportFailed(f"{error.filename or path}: {error.strerror}") from None
        unpacked: IO[bytes] = file
        if start.startswith(b"\x1f\x8b"):
            unpacked = cast(IO[bytes], gzip.GzipFile(fileobj=file))
        elif start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            unpacked = _only_file(stack, file, path)
        if unpacked is not file and max_bytes is not None:
            unpacked = cast(IO[bytes], _Bounded(unpacked, max_bytes))
        yield file if unpacked is file else io.BufferedReader(cast(io.RawIOBase, unpacked))


class _Bounded(io.RawIOBase):
    """A small archive can hold very much."""

    def __init__(self, file: IO[bytes], max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        self._read += len(data)
        if self._read > self._max_bytes:
            raise ImportFailed(f"the file is larger than {self._max_bytes} bytes when unpacked")
        buffer[: len(data)] = data
        return len(data)


class _SmallReads:
    """A file for zipfile, which reads the directory of an archive at once, and the rest in small pieces."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(min(size, _MAX_DIRECTORY_BYTES + 1) if size >= 0 else _MAX_DIRECTORY_BYTES + 1)
        if len(found) > _MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"its directory is larger than {_MAX_DIRECTORY_BYTES} bytes")
        return found


def _only_file(stack: contextlib.ExitStack, file: IO[bytes], path: Path) -> IO[bytes]:
    try:
        archive = stack.enter_context(zipfile.ZipFile(cast(IO[bytes], _SmallReads(file))))
        names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX/")]
        if len(names) == 1:
            if archive.getinfo(names[0]).compress_type not in _ZIP_METHODS:
                raise ImportFailed(f"{path}: the archive is not compressed by deflate, which alone is read")
            return stack.enter_context(archive.open(names[0]))
    except _UNREADABLE as error:
        raise ImportFailed(f"{path}: the archive is damaged or cannot be read: {error}") from None
    listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    raise ImportFailed(f"{path}: an archive must have one file, this one has {len(names)}: {listed}")


def read_bytes(stream: Stream, size: int, line: int) -> bytes:
    try:
        return stream.read(size)
    except _UNREADABLE as error:
        raise ImportFailed(f"line {line}: the file is damaged or cannot be read: {error}") from None


def encoding_of(stream: Stream, stated: str | None) -> str | None:
    """What a byte order mark says, else what the mapping says."""
    try:
        start = stream.peek(4)[:4]
    except _UNREADABLE as error:
        raise ImportFailed(f"line 1: the file is damaged or cannot be read: {error}") from None
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    return stated


class Lines:
    """The lines of a file as text. A line that was read can be put back.

    A class, because a generator would end when it raises RecordTooLong. Bytes that are not of the encoding become lone
    surrogates, which fail only the records that use the field.
    """

    def __init__(self, stream: Stream, encoding: str | None) -> None:
        name = encoding_of(stream, encoding) or "utf-8"
        self.encoding = name.removesuffix("-sig").upper()
        # Wide encodings have no surrogates to escape to.
        errors = "strict" if name.startswith(("utf-16", "utf-32")) else "surrogateescape"
        newline = "\r" if _is_of_old_macs(stream) else "\n"
        self._text = io.TextIOWrapper(stream, name, errors, newline=newline)
        self._returned: list[str] = []
        self.count = 0

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        if self._returned:
            self.count += 1
            return self._returned.pop()
        line = self._readline()
        if not line:
            raise StopIteration
        self.count += 1
        if len(line) > MAX_RECORD_CHARACTERS:
            while line and not line.endswith(("\n", "\r")):
                line = self._readline()
            raise RecordTooLong
        if self.count == 1 and ("\x00" in line or any("\ud800" <= c <= "\udfff" for c in line)):
            raise ImportFailed(
                f"not a {self.encoding} text file: its first line cannot be read (encoding says another)"
            )
        return line

    def close(self) -> None:
        """Stops reading, and leaves the file open for its owner."""
        self._text.detach()

    def put_back(self, lines: list[str]) -> None:
        """The last lines that were read will be read again."""
        self.count -= len(lines)
        self._returned.extend(reversed(lines))

    def chunk(self, size: int) -> str:
        """The next characters, wherever lines end; "" at the end."""
        return self._read(self._text.read, size)

    def _readline(self) -> str:
        return self._read(self._text.readline, MAX_RECORD_CHARACTERS + 1)

    def _read(self, read: Callable[[int], str], size: int) -> str:
        try:
            return read(size)
        except UnicodeError as error:
            reason = getattr(error, "reason", error)
            raise ImportFailed(f"line {self.count + 1}: not {self.encoding}: {reason}") from None
        except _UNREADABLE as error:
            raise ImportFailed(f"line {self.count + 1}: the file is damaged or cannot be read: {error}") from None


def _is_of_old_macs(stream: Stream) -> bool:
    """Whether lines end in a carriage return alone."""
    try:
        start = stream.peek(1 << 16)
    except _UNREADABLE:
        return False  # said by the first line that is read
    return b"\r" in start[:-1] and b"\n" not in start
