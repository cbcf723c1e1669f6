"""Reads product feeds of XML, element by element.

Expat, hardened: declarations refuse the file, so that no entity is expanded or fetched, and no attribute has a default,
which each element would copy. Depth, the size of an item and the number of names are bounded: expat keeps every name to
the end of the file. What an item holds becomes a flat record: `offer.price`, an attribute `link.@href`. Repeated
elements become a list.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Generator
from xml.parsers import expat

from db.feed_files import MAX_RECORD_CHARACTERS, RecordTooLong, Stream, encoding_of, read_bytes
from db.feed_readers import Row
from domain.feed_mappings import ImportFailed, Mapping, normal_name
from domain.feeds import Reject

MAX_DEPTH = 100
MAX_NAME_CHARACTERS = 256
MAX_NAMES = 10_000  # of elements and attributes
_CHUNK = 1 << 16
_MAX_TOKEN_BYTES = 1 << 22
_WRONG_ENCODING = expat.errors.codes[expat.errors.XML_ERROR_INCORRECT_ENCODING]
_NO_DECLARATIONS = "the file declares entities, elements or attributes, which is not read"


def xml_items(stream: Stream, mapping: Mapping) -> Generator[Row, None, None]:
    """The items of a file. Raises ImportFailed if it is not well-formed XML."""
    assert mapping.xml
    items = _Items([[_local(part) for part in path.strip("/").split("/")] for path in mapping.xml.item])
    stated = encoding_of(stream, mapping.encoding)
    # Text, and not bytes, overrules what the declaration says of the encoding.
    decoder = codecs.getincrementaldecoder(stated)() if stated else None
    fed = 0
    is_first = True
    while chunk := read_bytes(stream, _CHUNK, items.line):
        piece = items.decoded(chunk, decoder)
        if is_first:
            # Templates leave blank lines above the declaration, which no parser allows.
            piece = items.without_blanks(piece)
            is_first = False
        fed += items.feed(piece)
        yield from items.take()
        if fed - items.position > _MAX_TOKEN_BYTES:
            raise ImportFailed(f"line {items.line}: a tag or an attribute longer than {_MAX_TOKEN_BYTES} bytes")
    items.feed(items.decoded(b"", decoder, is_last=True), is_last=True)
    yield from items.take()
    if not items.count:
        raise ImportFailed(f"no element {' or '.join(mapping.xml.item)} in the file: is the mapping for another feed?")


def _local(name: str) -> str:
    """An element's name without its prefix."""
    return normal_name(name.rpartition(":")[2])


class _Items:
    def __init__(self, paths: list[list[str]]) -> None:
        self._paths = paths
        self._stack: list[str] = []
        self._done: list[Row] = []
        self.count = 0
        self._record: dict[str, object] | None = None
        self._names: list[str] = []  # from the item inwards
        self._texts: list[list[str]] = []
        self._size = self._start = self._skipped = 0
        self._google: Counter[str] = Counter()  # values of elements with Google's prefix, by path
        self._pending = ""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._open_doctype
        parser.EntityDeclHandler = self._refuse
        parser.SkippedEntityHandler = self._refuse
        parser.ExternalEntityRefHandler = self._refuse
        parser.StartElementHandler = self._open
        parser.EndElementHandler = self._close
        parser.CharacterDataHandler = self._text
        self._parser = parser

    @property
    def line(self) -> int:
        return self._parser.CurrentLineNumber + self._skipped

    def without_blanks(self, piece: str | bytes) -> str | bytes:
        """The beginning of a file without what is blank above its declaration, whose lines are counted."""
        text = piece if isinstance(piece, str) else piece.decode("latin-1")
        blanks = len(text) - len(text.lstrip())
        if not text.startswith("<?xml", blanks):
            return piece
        self._skipped = text.count("\n", 0, blanks)
        return piece[blanks:]

    @property
    def position(self) -> int:
        return self._parser.CurrentByteIndex

    def decoded(self, chunk: bytes, decoder: codecs.IncrementalDecoder | None, is_last: bool = False) -> str | bytes:
        try:
            return decoder.decode(chunk, is_last) if decoder else chunk
        except ValueError as error:
            raise ImportFailed(f"line {self.line}: {error} (encoding says which it is)") from None

    def feed(self, piece: str | bytes, is_last: bool = False) -> int:
        """Parses a piece of the file; returns how many bytes the parser got."""
        try:
            self._parser.Parse(piece, is_last)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            hint = " (encoding says which it is)" if error.code == _WRONG_ENCODING else ""
            raise ImportFailed(f"line {error.lineno + self._skipped}: not well-formed XML: {reason}{hint}") from None
        except ImportFailed:
            raise
        except (LookupError, ValueError) as error:
            raise ImportFailed(f"line {self.line}: {error} (encoding says which it is)") from None
        return len(piece.encode() if isinstance(piece, str) else piece)

    def take(self) -> list[Row]:
        """The items that are complete since the last call."""
        done, self._done = self._done, []
        return done

    def _refuse(self, *_: object) -> int:
        raise ImportFailed(f"line {self.line}: {_NO_DECLARATIONS}")

    def _open_doctype(self, _name: str, _system: str | None, _public: str | None, has_declarations: int) -> None:
        if has_declarations:
            self._refuse()

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        if len(name) > MAX_NAME_CHARACTERS or any(len(key) > MAX_NAME_CHARACTERS for key in attributes):
            raise ImportFailed(f"line {self.line}: a name longer than {MAX_NAME_CHARACTERS} characters")
        if len(self._parser.intern) > MAX_NAMES:
            raise ImportFailed(f"line {self.line}: more than {MAX_NAMES} different names of elements and attributes")
        self._stack.append(_local(name))
        if len(self._stack) > MAX_DEPTH:
            raise ImportFailed(f"line {self.line}: elements more than {MAX_DEPTH} deep")
        if self._record is None:
            if self._stack not in self._paths:
                return
            self._record = {}
            self._size, self._start = 0, self.line
            self._names, self._texts = [], []
            self._google.clear()
        else:
            self._names.append(self._stack[-1])
        self._texts.append([])
        for key, value in attributes.items():
            if self._size > MAX_RECORD_CHARACTERS:
                break
            self._add(".".join([*self._names, "@" + _local(key)]), value)
        if self._names and self._is_alternate(attributes):
            # Atom: the link is an attribute, unless the element has a text.
            self._pending = attributes["href"]
        else:
            self._pending = ""

    @staticmethod
    def _is_alternate(attributes: dict[str, str]) -> bool:
        return "href" in attributes and attributes.get("rel", "alternate") == "alternate"

    def _text(self, text: str) -> None:
        if self._record is not None and self._size <= MAX_RECORD_CHARACTERS:
            self._size += len(text)
            self._texts[-1].append(text)

    def _close(self, name: str) -> None:
        self._stack.pop()
        if self._record is None:
            return
        text = "".join(self._texts.pop())
        if self._names:
            value = text if text.strip() else self._pending
            if value:
                self._add(".".join(self._names), value, is_google=name[:2] in ("g:", "G:"))
            self._pending = ""
            self._names.pop()
            return
        self.count += 1
        if self._size > MAX_RECORD_CHARACTERS:
            self._done.append(Row(self._start, None, Reject("line", str(RecordTooLong())), True))
        else:
            self._done.append(Row(self._start, self._record))
        self._record = None

    def _add(self, path: str, value: str, is_google: bool = False) -> None:
        """Values of Google's elements stand first: an Atom `id` is that of the entry, `g:id` that of the product."""
        assert self._record is not None
        self._size += len(path) + len(value)
        if self._size > MAX_RECORD_CHARACTERS:
            return
        known = self._record.get(path)
        if known is None:
            self._record[path] = value
        else:
            values = known if isinstance(known, list) else [known]
            values.insert(self._google[path] if is_google else len(values), value)
            self._record[path] = values
        if is_google:
            self._google[path] += 1
