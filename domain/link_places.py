"""Where networks read a sub-id in a link. Every function takes what follows the host (path, query, fragment) and
returns it with the sub-id: exactly one, in place of any older one, and everything else to the letter.

`query`     ?a=1&sub=ID, behind the other pairs
`before`    ?a=1&sub=ID&url=…, in front of the destination
`fields`    ?a(1)sub(ID)url(…)
`part`      ?tt=1_2_3_ID: the fourth part of a pair
`segments`  /links/1/sub/ID/https://…
`pairs`     /click/a:1/sub:ID/destination:…, behind the first pair
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple
from urllib.parse import unquote

Place = Literal["query", "before", "fields", "part", "segments", "pairs"]

_REST = re.compile(r"([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_FIELDS = re.compile(r"\?\w+\(")
_NAME = re.compile(r"\w*\(")
_URL_SEGMENT = re.compile(r"/(?=https?(?::|%3a)(?:/|%2f))", re.IGNORECASE)
_PARTS = 3  # of TradeTracker's tt, in front of the reference: campaign, material, affiliate


class Parts(NamedTuple):
    """What follows the host: `query` begins with ?, `fragment` with #, or they are empty."""

    path: str
    query: str
    fragment: str


def split_rest(rest: str) -> Parts:
    found = _REST.fullmatch(rest)
    assert found is not None
    return Parts(found[1], found[2] or "", found[3] or "")


def _name(pair: str) -> str:
    return unquote(pair.partition("=")[0]).lower()


def _pairs(query: str) -> list[str]:
    return query[1:].split("&") if query else []


def _without(pairs: list[str], names: frozenset[str]) -> list[str]:
    return [pair for pair in pairs if _name(pair) not in names]


def remove_pairs(rest: str, names: frozenset[str]) -> str:
    """Without the pairs of the query that have one of these names, in lower case."""
    path, query, fragment = split_rest(rest)
    pairs = _pairs(query)
    kept = _without(pairs, names)
    if len(kept) == len(pairs):
        return rest
    return path + ("?" + "&".join(kept) if kept else "") + fragment


def has_pair(rest: str, name: str) -> bool:
    """Whether the query has a pair of this name, in lower case."""
    return any(_name(pair) == name for pair in _pairs(split_rest(rest).query))


def _set_in_query(rest: str, parameter: str, value: str, _: tuple[str, ...]) -> str:
    path, query, fragment = split_rest(rest)
    pairs = _without(_pairs(query), frozenset((parameter.lower(),)))
    while pairs and not pairs[-1]:
        pairs.pop()
    return path + "?" + "&".join([*pairs, f"{parameter}={value}"]) + fragment


def _set_before(rest: str, parameter: str, value: str, destination: tuple[str, ...]) -> str:
    path, query, fragment = split_rest(rest)
    pairs, own = _pairs(query), frozenset((parameter.lower(),))
    at = next((index for index, pair in enumerate(pairs) if _name(pair) in destination), None)
    if at is None:
        return _set_in_query(rest, parameter, value, destination)
    # A destination that is not encoded takes all that follows its question mark.
    behind = pairs[at:] if "?" in pairs[at] else [pairs[at], *_without(pairs[at + 1 :], own)]
    return path + "?" + "&".join([*_without(pairs[:at], own), f"{parameter}={value}", *behind]) + fragment


def _fields(query: str) -> list[tuple[str, str]] | None:
    """The fields of `?a(1)b(2)`: name and whole text; None for another query. One whose parenthesis does not close
    takes the rest."""
    if not _FIELDS.match(query):
        return None
    found: list[tuple[str, str]] = []
    at = 1
    while at < len(query):
        name = _NAME.match(query, at)
        if name is None:
            found.append(("", query[at:]))
            break
        end, depth = name.end(), 1
        while end < len(query) and depth:
            depth += {"(": 1, ")": -1}.get(query[end], 0)
            end += 1
        found.append((name[0][:-1].lower(), query[at:end]))
        at = end
    return found


def _set_in_fields(rest: str, parameter: str, value: str, destination: tuple[str, ...]) -> str:
    path, query, fragment = split_rest(rest)
    fields = [field for field in _fields(query) or [] if field[0] != parameter.lower()]
    at = next((index for index, (name, _) in enumerate(fields) if name in destination), len(fields))
    texts = [text for _, text in fields]
    return path + "?" + "".join([*texts[:at], f"{parameter}({value})", *texts[at:]]) + fragment


def _set_part(rest: str, parameter: str, value: str, _: tuple[str, ...]) -> str:
    path, query, fragment = split_rest(rest)
    pairs, own = _pairs(query), frozenset((parameter.lower(),))
    at = next(index for index, pair in enumerate(pairs) if _is_in_parts(pair, parameter))
    changed = "_".join([*pairs[at].split("_")[:_PARTS], value])
    return path + "?" + "&".join([*_without(pairs[:at], own), changed, *_without(pairs[at + 1 :], own)]) + fragment


def _is_in_parts(pair: str, parameter: str) -> bool:
    return _name(pair) == parameter.lower() and pair.count("_") >= _PARTS - 1


def _set_in_segments(rest: str, parameter: str, value: str, _: tuple[str, ...]) -> str:
    path = split_rest(rest).path
    cut = _URL_SEGMENT.search(path)
    end = cut.start() if cut else len(path)
    segments = path[:end].split("/")[1:]
    if segments and not segments[-1] and len(segments) % 2:
        segments.pop()
    named = [segments[index : index + 2] for index in range(0, len(segments), 2)]
    kept = ["/".join(pair) for pair in named if pair[0].lower() != parameter.lower()]
    return "/" + "/".join([*kept, parameter, value]) + rest[end:]


def _set_in_pairs(rest: str, parameter: str, value: str, destination: tuple[str, ...]) -> str:
    segments, tail = _pair_segments(rest, destination)
    kept = [segment for segment in segments if _pair_name(segment) != parameter.lower()]
    names = [_pair_name(segment) for segment in kept]
    first = next((index for index, name in enumerate(names) if name), len(kept))
    kept.insert(first if first == len(kept) or names[first] in destination else first + 1, f"{parameter}:{value}")
    return "/".join(kept) + tail


def _pair_name(segment: str) -> str:
    name, colon, _ = segment.partition(":")
    return name.lower() if colon else ""


def _pair_segments(rest: str, destination: tuple[str, ...]) -> tuple[list[str], str]:
    """The segments up to a destination that is not encoded; and the rest, of which such a destination is the start."""
    path, query, fragment = split_rest(rest)
    segments = path.split("/")
    for index, segment in enumerate(segments):
        if _pair_name(segment) in destination and re.fullmatch(r"\w+:https?:", segment, re.IGNORECASE):
            return segments[:index], "/" + "/".join(segments[index:]) + query + fragment
    return segments, query + fragment


SETTERS: dict[Place, Callable[[str, str, str, tuple[str, ...]], str]] = {
    "query": _set_in_query,
    "before": _set_before,
    "fields": _set_in_fields,
    "part": _set_part,
    "segments": _set_in_segments,
    "pairs": _set_in_pairs,
}
"""By place: what follows the host, parameter, value, and the names of the destination, in lower case."""


def fits(place: Place, rest: str, parameter: str) -> bool:
    """Whether the link has the shape in which this place exists."""
    path, query, _ = split_rest(rest)
    if place == "fields":
        return _fields(query) is not None
    if place == "part":
        return any(_is_in_parts(pair, parameter) for pair in _pairs(query))
    if place == "pairs":
        return any(map(_pair_name, path.split("/")))
    return place == "segments" or _fields(query) is None


def destinations(place: Place, rest: str, names: tuple[str, ...]) -> list[str]:
    """The texts in which the link says where it leads, as they are."""
    path, query, _ = split_rest(rest)
    if place == "segments":
        cut = _URL_SEGMENT.search(path)
        return [rest[cut.end() :]] if cut else []
    if place == "pairs":
        segments, tail = _pair_segments(rest, names)
        found = [segment.partition(":")[2] for segment in segments if _pair_name(segment) in names]
        return [*found, *([tail.partition(":")[2]] if tail[:1] == "/" else [])]
    if place == "fields":
        return [text[len(name) + 1 :].removesuffix(")") for name, text in _fields(query) or [] if name in names]
    return [pair.partition("=")[2] for pair in _pairs(query) if _name(pair) in names]
