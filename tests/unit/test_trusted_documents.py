"""Manifests, modes, and which text an id or a hash stands for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from domain.errors import DocumentNotTrusted, HashMismatch, PersistedQueryNotFound, PersistedQueryNotSupported
from domain.trusted_documents import BadManifest, TrustedDocument, read_manifest
from engine import trusted_documents
from engine.document_reports import report
from engine.engine import Engine
from engine.trusted_documents import TrustedDocuments
from settings import DocumentsMode, SettingsError, load

SLUGS, NAMES = "query Slugs { categories { slug } }", "{ categories { name } }"
BOTH = [TrustedDocument("1", SLUGS), TrustedDocument("2", NAMES)]
OPEN, PREFER, ONLY = DocumentsMode.OPEN, DocumentsMode.PREFER, DocumentsMode.ONLY


def apollo(**changes: Any) -> dict[str, Any]:
    operations = [
        {"id": "1", "name": "Slugs", "type": "query", "body": SLUGS},
        {"id": "2", "name": "Names", "type": "query", "body": NAMES},
    ]
    return {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations, **changes}


@pytest.mark.parametrize(
    "manifest", [{"1": SLUGS, "2": NAMES}, [["1", SLUGS], ["2", NAMES]], apollo()], ids=["codegen", "Relay", "Apollo"]
)
def test_a_manifest_is_read_in_every_form(manifest: Any) -> None:
    assert read_manifest(json.dumps(manifest).encode()) == BOTH


BAD: dict[str, Any] = {
    "empty": {},
    "an empty list": [],
    "a text": "query",
    "a number": 1,
    "no text": {"1": None},
    "a nested text": {"1": {"query": SLUGS}},
    "a list of texts": [SLUGS],
    "three of a kind": [["1", SLUGS, "x"]],
    "an empty id": {"": SLUGS},
    "two texts of one id": [["1", SLUGS], ["1", NAMES]],
    "another version": apollo(version=2),
    "another format": apollo(format="x"),
    "no body": apollo(operations=[{"id": "1"}]),
    "an operation that is none": apollo(operations=["1"]),
}


@pytest.mark.parametrize("manifest", BAD.values(), ids=list(BAD))
def test_a_bad_manifest_says_why(manifest: Any) -> None:
    with pytest.raises(BadManifest):
        read_manifest(json.dumps(manifest).encode())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000], ids=["nothing", "half", "no UTF-8", "deep"])
def test_what_is_no_json_is_no_manifest(content: bytes) -> None:
    with pytest.raises(BadManifest, match="JSON"):
        read_manifest(content)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def persisted(digest: Any, version: Any = 1) -> dict[str, Any]:
    return {"persistedQuery": {"version": version, "sha256Hash": digest}}


@pytest.mark.parametrize("mode", DocumentsMode)
def test_an_id_stands_for_its_text_in_every_mode(mode: DocumentsMode) -> None:
    documents = TrustedDocuments(BOTH, mode)
    assert documents.text(document_id="1") == SLUGS
    assert documents.text(document_id="sha256:1") == SLUGS
    assert documents.text(extensions=persisted("2")) == NAMES
    assert documents.text(SLUGS) == SLUGS
    assert documents.counts == {"trusted": 4}


@pytest.mark.parametrize(
    ("mode", "by_id", "by_hash"),
    [
        (OPEN, PersistedQueryNotFound, PersistedQueryNotFound),
        (PREFER, PersistedQueryNotFound, PersistedQueryNotSupported),
        (ONLY, DocumentNotTrusted, DocumentNotTrusted),
    ],
)
def test_an_unknown_id_stands_for_nothing(
    mode: DocumentsMode, by_id: type[Exception], by_hash: type[Exception]
) -> None:
    documents = TrustedDocuments(BOTH, mode)
    with pytest.raises(by_id):
        documents.text(document_id="3")
    with pytest.raises(by_hash):
        documents.text(extensions=persisted(sha256("{ me { id } }")))


def test_a_text_outside_the_manifest_runs_unless_only_the_manifest_may() -> None:
    other = SLUGS + " "
    assert TrustedDocuments(BOTH, OPEN).text(other) == other
    prefer = TrustedDocuments(BOTH, PREFER)
    assert prefer.text(other) == other
    assert prefer.counts == {"other": 1}
    only = TrustedDocuments(BOTH, ONLY)
    for extensions in (None, persisted("1"), persisted(sha256(other))):
        with pytest.raises(DocumentNotTrusted):
            only.text(other, "1", extensions)
    assert only.counts == {"other": 3}


def register(documents: TrustedDocuments, text: str) -> None:
    documents.text(text, extensions=persisted(sha256(text)))
    accept = documents.registration(text, persisted(sha256(text)))
    assert accept is not None
    accept()


def test_a_text_is_registered_under_its_hash() -> None:
    documents = TrustedDocuments()
    with pytest.raises(PersistedQueryNotFound):
        documents.text(extensions=persisted(sha256(NAMES)))
    assert documents.text(NAMES, extensions=persisted(sha256(NAMES))) == NAMES
    with pytest.raises(PersistedQueryNotFound):  # not before it is charged and valid
        documents.text(extensions=persisted(sha256(NAMES)))
    register(documents, NAMES)
    assert documents.text(extensions=persisted(sha256(NAMES))) == NAMES


@pytest.mark.parametrize("digest", [sha256(SLUGS), sha256(NAMES).upper(), "", "x", sha256(NAMES)[:40]])
def test_a_hash_that_is_not_the_texts_registers_nothing(digest: str) -> None:
    documents = TrustedDocuments()
    with pytest.raises(HashMismatch):
        documents.text(NAMES, extensions=persisted(digest))
    with pytest.raises(PersistedQueryNotFound):
        documents.text(extensions=persisted(digest))


def test_a_manifests_own_hash_need_not_be_sha256() -> None:
    documents = TrustedDocuments(BOTH, OPEN)
    assert documents.text(SLUGS, extensions=persisted("1")) == SLUGS
    assert documents.registration(SLUGS, persisted("1")) is None


@pytest.mark.parametrize("mode", [PREFER, ONLY])
def test_nothing_is_registered_but_in_open(mode: DocumentsMode) -> None:
    documents = TrustedDocuments([*BOTH, TrustedDocument("3", "{ me { id } }")], mode)
    text = "{ me { id } }"
    documents.text(text, extensions=persisted(sha256(text)))
    assert documents.registration(text, persisted(sha256(text))) is None


@pytest.mark.parametrize(
    "extension", [1, "x", [], {}, {"version": 2, "sha256Hash": "1"}, {"version": 1}, {"version": 1, "sha256Hash": 5}]
)
def test_other_forms_of_the_extension_are_not_supported(extension: Any) -> None:
    with pytest.raises(PersistedQueryNotSupported):
        TrustedDocuments(BOTH, OPEN).text(extensions={"persistedQuery": extension})


def test_registered_texts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted_documents, "CACHE_CHARACTERS", 10_000)
    documents = TrustedDocuments()
    texts = [f"{{ a{number:03} }}" for number in range(500)]
    for text in texts:
        register(documents, text)
    taken = sum(len(text) + trusted_documents.ENTRY_LENGTH for text in documents._stored.values())
    assert documents._stored_length == taken <= 10_000
    assert documents.text(extensions=persisted(sha256(texts[-1]))) == texts[-1]


def test_a_request_that_names_nothing() -> None:
    assert TrustedDocuments(BOTH, ONLY).text() is None


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load({}))


def test_a_manifest_is_checked_when_it_is_loaded(tmp_path: Path, engine: Engine) -> None:
    path = tmp_path / "persisted-documents.json"
    path.write_text(json.dumps({"1": SLUGS, "abc": "query Broken { nothing }"}))
    settings = load({"TRUSTED_DOCUMENTS": str(path), "TRUSTED_DOCUMENTS_MODE": "only"})
    with pytest.raises(SettingsError, match=r"Broken \(abc\): .*nothing"):
        trusted_documents.load(settings, engine)
    path.write_text(json.dumps({"1": SLUGS}))
    loaded = trusted_documents.load(settings, engine)
    assert (loaded.mode, loaded.text(document_id="1")) == (ONLY, SLUGS)


def test_a_manifest_that_is_not_there_is_named(engine: Engine) -> None:
    with pytest.raises(SettingsError, match=r"^TRUSTED_DOCUMENTS: .*nowhere.json"):
        trusted_documents.load(load({"TRUSTED_DOCUMENTS": "/nowhere.json"}), engine)


@pytest.mark.parametrize("mode", ["prefer", "only"])
def test_a_mode_needs_a_manifest(mode: str) -> None:
    with pytest.raises(SettingsError, match=r"^TRUSTED_DOCUMENTS_MODE: "):
        load({"TRUSTED_DOCUMENTS_MODE": mode})


@pytest.mark.parametrize(
    ("text", "cost", "statements", "path"),
    [
        ("{ __typename }", 1, 0, "plan"),
        ("{ __schema { description } }", 2, 0, "introspection"),
        ("{ products(first: 3) { nodes { id } } }", 7, 1, "plan"),
        ("{ products(first: 3) { nodes { description } } }", 124, 1, "plan"),
        ("{ products(first: 3) { nodes { a: description b: name } } }", 154, 1, "plan"),
        ("query ($n: Int = 2) { products(first: $n) { nodes { id } } }", 201, 1, "plan"),
        ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", 200, 1, "plan"),
        ("{ a: me { id } a: me { id } b: me { id } ...F } fragment F on Query { c: me { id } }", 8, 3, "plan"),
        ("query ($x: Boolean!) { me { id } quiz @include(if: $x) { version } }", 4, 1, "plan"),
        ("mutation { signOut { userErrors { code } } }", 3, 1, "plan"),
    ],
)
def test_what_a_report_says(engine: Engine, text: str, cost: int, statements: int, path: str) -> None:
    (found,) = report(engine, TrustedDocument("1", text))
    assert (found.error, found.cost, found.statements, found.path) == (None, cost, statements, path)


def test_a_report_of_several_operations_and_of_none(engine: Engine) -> None:
    text = "query A { me { id } } query B { products(first: 1) { nodes { id } } }"
    assert [each.name for each in report(engine, TrustedDocument("1", text))] == ["A", "B"]
    (broken,) = report(engine, TrustedDocument("1", "query A { nothing }"))
    assert "nothing" in (broken.error or "") and broken.problem_within(1, None) == broken.error
