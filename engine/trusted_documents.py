"""Trusted documents and persisted queries: which documents may run, and the text behind an id or a hash."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from domain.errors import DocumentNotTrusted, HashMismatch, PersistedQueryNotFound, PersistedQueryNotSupported
from domain.trusted_documents import BadManifest, TrustedDocument, read_manifest
from engine.engine import Engine
from settings import DocumentsMode, Settings, SettingsError

log = structlog.get_logger("aclue.documents")

CACHE_CHARACTERS = 2_000_000  # characters of all automatically persisted texts together
ENTRY_LENGTH = 300  # overhead of a stored text, in characters
MAX_LOGGED_DOCUMENTS = 1_000  # texts outside the manifest that are logged, once each


class TrustedDocuments:
    """`counts`: requests that ran a document of the manifest (`trusted`) or another one (`other`); empty without a
    manifest."""

    def __init__(self, documents: Iterable[TrustedDocument] = (), mode: DocumentsMode = DocumentsMode.OPEN) -> None:
        self.mode = mode
        self.counts: Counter[str] = Counter()
        self._texts = {document.id: document.text for document in documents}
        self._trusted = frozenset(self._texts.values())
        self._stored: OrderedDict[str, str] = OrderedDict()
        self._stored_length = 0
        self._logged: set[str] = set()

    def text(
        self, query: str | None = None, document_id: str | None = None, extensions: Mapping[str, Any] | None = None
    ) -> str | None:
        """The text to run; None if the request names none.

        `document_id` is used if there is no `query`. `extensions.persistedQuery` replaces a query, or registers it.
        Raises DocumentRefused.
        """
        persisted = extensions.get("persistedQuery") if extensions else None
        if persisted is not None:
            query = self._persisted(query, persisted, document_id)
        elif query is None:
            if document_id is None:
                return None
            query = self._found(document_id)
        if self._trusted:
            self._check(query)
        return query

    def _found(self, document_id: str) -> str:
        found = self._texts.get(document_id) or self._texts.get(document_id.removeprefix("sha256:"))
        if found is None and self.mode is DocumentsMode.ONLY:
            raise DocumentNotTrusted
        if found is None:
            raise PersistedQueryNotFound
        return found

    def _persisted(self, query: str | None, persisted: Any, document_id: str | None) -> str:
        """Apollo's extension: a hash alone looks the text up, a hash with a text registers it."""
        version = persisted.get("version") if isinstance(persisted, dict) else None
        digest = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
        if version != 1 or not isinstance(digest, str):
            raise PersistedQueryNotSupported
        known = self._texts.get(digest)
        if query is None:
            if known is not None:
                return known
            if document_id is not None or self.mode is DocumentsMode.ONLY:
                return self._found(document_id or digest)
            if self.mode is not DocumentsMode.OPEN:
                raise PersistedQueryNotSupported
            return self._stored_text(digest)
        if self.mode is DocumentsMode.OPEN and known != query and digest != _sha256(query):
            raise HashMismatch
        return query

    def _stored_text(self, digest: str) -> str:
        found = self._stored.get(digest)
        if found is None:
            raise PersistedQueryNotFound
        self._stored.move_to_end(digest)
        return found

    def registration(self, query: str | None, extensions: Mapping[str, Any] | None) -> Callable[[], None] | None:
        """A function that stores the text of a request under its hash; None if the request registers none. Call it once
        the text has been charged and validated. `text` has checked the hash."""
        persisted = extensions.get("persistedQuery") if extensions else None
        if persisted is None or query is None or self.mode is not DocumentsMode.OPEN:
            return None
        digest = persisted["sha256Hash"]
        return None if digest in self._texts else partial(self._store, digest, query)

    def _store(self, digest: str, query: str) -> None:
        if digest not in self._stored:
            self._stored[digest] = query
            self._stored_length += len(query) + ENTRY_LENGTH
            while self._stored_length > CACHE_CHARACTERS:
                self._stored_length -= len(self._stored.popitem(last=False)[1]) + ENTRY_LENGTH

    def _check(self, query: str) -> None:
        """Counts the request. A document outside the manifest is logged or refused, as the mode says."""
        if query in self._trusted:
            self.counts["trusted"] += 1
            return
        self.counts["other"] += 1
        if self.mode is DocumentsMode.ONLY:
            raise DocumentNotTrusted
        if self.mode is DocumentsMode.PREFER:
            digest = _sha256(query)
            if digest not in self._logged and len(self._logged) < MAX_LOGGED_DOCUMENTS:
                self._logged.add(digest)
                log.warning("a document outside the manifest", document=TrustedDocument(digest, query).label)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def load(settings: Settings, engine: Engine) -> TrustedDocuments:
    """Loads the manifest of TRUSTED_DOCUMENTS. Raises SettingsError if it cannot be read, or if one of its documents,
    which the message names, is not valid for the schema."""
    if not settings.trusted_documents:
        return TrustedDocuments()
    documents = read(Path(settings.trusted_documents))
    engine.trust(document.text for document in documents)
    for document in documents:
        if errors := engine.document(document.text).errors:
            raise SettingsError(f"TRUSTED_DOCUMENTS: {document.label}: {errors[0].message}")
    return TrustedDocuments(documents, settings.trusted_documents_mode)


def read(path: Path) -> list[TrustedDocument]:
    """The documents of a manifest file. Raises SettingsError."""
    try:
        return read_manifest(path.expanduser().read_bytes())
    except OSError as error:
        raise SettingsError(f"TRUSTED_DOCUMENTS: {path}: {error.strerror or error}") from None
    except BadManifest as error:
        raise SettingsError(f"TRUSTED_DOCUMENTS: {path}: {error}") from None
