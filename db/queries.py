"""Named SQL: every statement stands in sql/queries/<noun>.sql as `-- name: block(a, b)` and uses `:a`, `:b`.

`QUERIES["products.page"]` is a Query: text with $1..$n in the order of the block's parameter list. A block may hold
`{slots}`, filled by `Query.fill` with other blocks (Fragments of one's filters): a slot's parameters are appended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

QUERY_FOLDER = Path(__file__).resolve().parent.parent / "sql" / "queries"

_HEADER = re.compile(r"^-- name: (?P<name>\w+)\((?P<params>[\w, ]*)\)\s*$", re.MULTILINE)
_PARAM = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_SLOT = re.compile(r"\{(\w+)\}")


class UnknownParameter(ValueError):
    """A block uses a :name that its header does not list, or lists one that it does not use."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """SQL text with `:name` placeholders and the values to bind."""

    text: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One named statement. `sql` has $1..$n in the order of `params`."""

    name: str
    text: str
    params: tuple[str, ...]
    sql: str

    def bind(self, **values: Any) -> Fragment:
        """The block as a fragment of another one; its values are given now."""
        if set(values) != set(self.params):
            raise UnknownParameter(f"{self.name} takes {self.params}, got {tuple(values)}")
        return Fragment(self.text, values)

    def over(self, **expressions: str) -> str:
        """The block as a part of another statement: SQL, such as columns of that, in the place of its parameters."""
        if set(expressions) != set(self.params):
            raise UnknownParameter(f"{self.name} takes {self.params}, got {tuple(expressions)}")
        return _PARAM.sub(lambda match: expressions[match.group(1)], self.text)

    def fill(self, **slots: Fragment | str) -> Composed:
        """The statement with its `{slots}` filled: a Fragment brings its values, a str is trusted SQL text."""
        return compose(self.text, slots)


@dataclass(frozen=True, slots=True)
class Composed:
    """A statement put together from blocks: its own parameters are still `:names`."""

    text: str
    values: Mapping[str, Any]

    def statement(self, **values: Any) -> tuple[str, list[Any]]:
        """SQL with $n and the arguments in their order."""
        given = {**self.values, **values}
        order: list[str] = []

        def number(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in given:
                raise UnknownParameter(f":{name} has no value")
            if name not in order:
                order.append(name)
            return f"${order.index(name) + 1}"

        return _PARAM.sub(number, self.text), [given[name] for name in order]


def compose(text: str, slots: Mapping[str, Fragment | str]) -> Composed:
    """Fills `{slots}`; the values of each fragment get names of their own, so that blocks can be used twice."""
    values: dict[str, Any] = {}

    def insert(match: re.Match[str]) -> str:
        slot = slots[match.group(1)]
        if isinstance(slot, str):
            return slot
        names = {name: f"{match.group(1)}_{name}" for name in slot.values}
        values.update({names[name]: value for name, value in slot.values.items()})
        return _PARAM.sub(lambda m: f":{names[m.group(1)]}", slot.text)

    return Composed(_SLOT.sub(insert, text), values)


def all_of(fragments: list[Fragment]) -> Fragment:
    """The fragments joined by AND; `true` when there is none."""
    text = _joined(tuple([fragment.text for fragment in fragments]))
    values = {f"f{i}_{name}": value for i, each in enumerate(fragments) for name, value in each.values.items()}
    return Fragment(text, values)


@lru_cache(maxsize=1024)
def _joined(texts: tuple[str, ...]) -> str:
    """The texts joined, the parameters of each renamed by its place."""
    renamed = [_PARAM.sub(rf":f{i}_\1", text) for i, text in enumerate(texts)]
    return " and ".join(f"({text})" for text in renamed) or "true"


def _parse(noun: str, source: str) -> Iterator[Query]:
    headers = list(_HEADER.finditer(source))
    for position, header in enumerate(headers):
        end = headers[position + 1].start() if position + 1 < len(headers) else len(source)
        lines = source[header.end() : end].splitlines()
        text = "\n".join(line for line in lines if not line.lstrip().startswith("--")).strip().rstrip(";")
        name = f"{noun}.{header['name']}"
        params = tuple(p.strip() for p in header["params"].split(",") if p.strip())
        used = set(_PARAM.findall(text))
        if used != set(params):
            raise UnknownParameter(f"{name} lists {sorted(params)} and uses {sorted(used)}")
        sql = _PARAM.sub(lambda m, params=params: f"${params.index(m.group(1)) + 1}", text)  # type: ignore[misc]
        yield Query(name, text, params, sql)


class Queries(Mapping[str, Query]):
    """All blocks of all files, by `noun.block`."""

    def __init__(self, queries: dict[str, Query]) -> None:
        self._queries = queries

    @classmethod
    def load(cls, folder: Path = QUERY_FOLDER) -> Queries:
        """Reads the folder. Raises ValueError for two blocks of one name."""
        found: dict[str, Query] = {}
        for path in sorted(folder.glob("*.sql")):
            for query in _parse(path.stem, path.read_text()):
                if query.name in found:
                    raise ValueError(f"two blocks are called {query.name}")
                found[query.name] = query
        return cls(found)

    def __getitem__(self, name: str) -> Query:
        return self._queries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)

    def __len__(self) -> int:
        return len(self._queries)


QUERIES = Queries.load()
