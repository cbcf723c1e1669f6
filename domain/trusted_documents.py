"""Manifests of trusted documents, as the tools of front ends write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

APOLLO_FORMAT = "apollo-persisted-query-manifest"
_NAME = re.compile(r"\b(?:query|mutation|subscription)\s+([_A-Za-z][_0-9A-Za-z]*)")


class BadManifest(ValueError):
    """A manifest cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class TrustedDocument:
    """An id (often a hash) and the text it stands for."""

    id: str
    text: str

    @property
    def label(self) -> str:
        """What people know it by: the name of its operation, where it has one, and its id."""
        named = _NAME.search(self.text)
        return f"{named[1]} ({self.id})" if named else self.id


def read_manifest(content: bytes) -> list[TrustedDocument]:
    """The documents of a manifest. Raises BadManifest.

    graphql-codegen   {id: text}
    Relay             {id: text}, or [[id, text]]
    Apollo            {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id", "body"}]}
    """
    try:
        given = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadManifest("it is not JSON") from None
    documents: dict[str, TrustedDocument] = {}
    for number, (key, text) in enumerate(_pairs(given), start=1):
        if not isinstance(key, str) or not key or not isinstance(text, str):
            raise BadManifest(f"operation {number} is not an id and a text")
        if key in documents and documents[key].text != text:
            raise BadManifest(f"the id {key} stands for two texts")
        documents[key] = TrustedDocument(key, text)
    if not documents:
        raise BadManifest("it holds no operations")
    return list(documents.values())


def _pairs(given: Any) -> list[tuple[Any, Any]]:
    if isinstance(given, dict) and isinstance(given.get("operations"), list):
        if given.get("format") != APOLLO_FORMAT or given.get("version") != 1:
            raise BadManifest(f"its format is not {APOLLO_FORMAT}, version 1")
        operations = given["operations"]
        return [(each.get("id"), each.get("body")) if isinstance(each, dict) else (None, None) for each in operations]
    if isinstance(given, dict):
        return list(given.items())
    if isinstance(given, list):
        return [tuple(each) if isinstance(each, list) and len(each) == 2 else (None, None) for each in given]
    raise BadManifest("it is neither an object nor a list")
