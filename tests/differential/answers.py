"""What two answers have in common once moments and ids of their own are taken out, and the first thing they have not.

Feeds are frozen at the moment they are asked for, and that moment stands in their cursors and ids; so do ids, times and
tokens of what a mutation makes. Here, and only here, such values are replaced before answers are compared:

- a cursor of a feed, and the id of a recommendation, by what they say beside the moment and the score;
- a time after the database was filled by `now`;
- an id of a row that was not there by its type and the order of its appearance; likewise tokens in links, and uuids;
- `requestId` of an error by itself.

Scores, weights and confidences of recommendations follow the age of signals: they may differ by 0.0001. Everything else
is compared as it is, with the order of keys and of lists.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from domain import ids
from domain.recommendations import Shown
from resolvers.feeds import State
from services.services import Services
from tests.differential.apps import Answer

TOLERANCE = 1e-4
_DRIFTING = ("score", "weight", "confidence")  # with or without the _1 of an alias
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_LINK = re.compile(r"(http://[^/]+/[rg]/)([\w-]+)")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Normaliser:
    """Replaces what is an answer's own. `since` is a moment after the database was filled: rows with ids from then on
    are new."""

    def __init__(self, services: Services, since: datetime) -> None:
        self._services = services
        self._since = since

    def of(self, answer: Answer) -> Any:
        """All of the answer that is compared."""
        new: dict[str, str] = {}
        return {"status": answer.status, "headers": answer.headers, "body": self._value(answer.body, new)}

    def _value(self, value: Any, new: dict[str, str]) -> Any:
        if isinstance(value, dict):
            return {
                self._text(key, new): "its own" if key == "requestId" else self._value(item, new)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._value(item, new) for item in value]
        return self._text(value, new) if isinstance(value, str) else value

    def _text(self, text: str, new: dict[str, str]) -> str:
        moment = _MOMENT.fullmatch(text)
        if moment and datetime.fromisoformat(text) >= self._since:
            return f"now{moment[2]}"
        if len(text) > 20:
            link = _LINK.fullmatch(text)
            if link:
                return link[1] + self._numbered(link[2], "token", new)
            if _UUID.fullmatch(text) and self._is_new(UUID(text)):
                return self._numbered(text, "uuid", new)
            decoded = ids.decode(text)
            if decoded is not None:
                return self._numbered(text, decoded[0], new) if self._is_new(decoded[1]) else text
            return self._feed_cursor(text, new) or self._shown(text, new) or self._row_cursor(text)
        return text

    def _is_new(self, key: UUID) -> bool:
        return key.version == 7 and (key.int >> 80) / 1000 >= self._since.timestamp()

    @staticmethod
    def _numbered(text: str, kind: str, new: dict[str, str]) -> str:
        return new.setdefault(text, f"new {kind} {len(new)}")

    def _product(self, key: UUID, new: dict[str, str]) -> str:
        return self._text(ids.encode("Product", key), new)

    def _feed_cursor(self, text: str, new: dict[str, str]) -> str | None:
        payload = self._services.cursors.open(text)
        try:
            cursor = msgspec.msgpack.decode(payload or b"", type=State)
        except msgspec.DecodeError:
            return None
        # Without product numbers and scores: a new product has another group in each database.
        place = f"{cursor.position} {len(cursor.shown)} {cursor.chunk}"
        return f"feed {cursor.request.hex()} {cursor.model} {cursor.arm} {place} {cursor.is_personal}"

    def _shown(self, text: str, new: dict[str, str]) -> str | None:
        shown = Shown.open(text, self._services.recommendation_ids)
        if shown is None:
            return None
        product = self._product(shown.product_id, new)
        return f"{shown.context} {product} {shown.viewer.hex()} {shown.model} {shown.arm} {shown.propensity}"

    def _row_cursor(self, text: str) -> str:
        """A cursor of rows is compared as it is, unless its row is new."""
        payload = self._services.cursors.open(text)
        if payload is None:
            return text
        new = [key for key in _UUID.finditer(payload.decode(errors="replace")) if self._is_new(UUID(key[0]))]
        return "cursor of a new row" if new else text


def first_difference(ours: Any, theirs: Any, path: str = "") -> str | None:
    """Where the two differ first, and how; None when they are the same. Of objects the order of keys counts too."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if list(ours) != list(theirs):
            return f"{path or 'the answer'}: keys {list(ours)} instead of {list(theirs)}"
        pairs = [(f"{path}.{key}" if path else key, ours[key], theirs[key]) for key in ours]
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            return f"{path}: {len(ours)} items instead of {len(theirs)}"
        pairs = [
            (f"{path}[{number}]", one, other) for number, (one, other) in enumerate(zip(ours, theirs, strict=True))
        ]
    else:
        return None if _same(ours, theirs, path) else f"{path}: {_shown(ours)} instead of {_shown(theirs)}"
    return next((found for place, one, other in pairs if (found := first_difference(one, other, place))), None)


def _same(ours: Any, theirs: Any, path: str) -> bool:
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    numbers = isinstance(ours, int | float) and isinstance(theirs, int | float)
    if numbers and path.rpartition(".")[2].partition("_")[0] in _DRIFTING:
        return abs(ours - theirs) <= TOLERANCE
    return bool(ours == theirs)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
