"""Named SQL, and how statements are composed of trusted parts.

Every statement is a block in sql/queries/<noun>.sql, headed `-- name: block(a, b)`, and uses `:a`, `:b`.
`QUERIES["products.page"]` is a Query: text with $1..$n in the order of the block's parameter list. A block may hold
`{slots}`, which `Query.fill` fills with other blocks (Fragments of filters): a slot's parameters are appended.

Fragments keep their parameters as `:names` until the statement is complete. `prefixed` renames them, so that a fragment
can be used twice in a statement; `NumberedSql` turns names into $1..$n. Nothing of a request but its page size becomes
SQL text; values are always parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

QUERY_FOLDER = Path(__file__).resolve().parent.parent / "sql" / "queries"

CACHE_STATEMENTS = 256

_HEADER = re.compile(r"^-- name: (?P<name>\w+)\((?P<params>[\w, ]*)\)\s*$", re.MULTILINE)
_PARAM = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_SLOT = re.compile(r"\{(\w+)\}")


class UnknownParameter(ValueError):
    """A block's header and text disagree about :names, or a :name has no value."""


@dataclass(frozen=True, slots=True)
class NumberedSql:
    """A statement for Postgres: text with $1..$n, and the names of the parameters in that order."""

    sql: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, text: str, names: Sequence[str] = ()) -> NumberedSql:
        """Numbers the `:names` of a text: first `names`, in this order, then the others in order of appearance."""
        numbers = {name: number for number, name in enumerate(names, 1)}
        sql = _PARAM.sub(lambda match: f"${numbers.setdefault(match.group(1), len(numbers) + 1)}", text)
        return cls(sql, tuple(numbers))

    def arguments(self, values: Mapping[str, object]) -> list[object]:
        """The values in the order of `names`; surplus values are ignored. Raises UnknownParameter for a name without a
        value."""
        try:
            return [values[name] for name in self.names]
        except KeyError as error:
            raise UnknownParameter(f":{error.args[0]} has no value") from None


def prefixed(text: str, prefix: str) -> str:
    """The text with `prefix` prepended to the name of each parameter."""
    return _PARAM.sub(rf":{prefix}\1", text)


@dataclass(frozen=True, slots=True)
class Fragment:
    """SQL text with `:name` placeholders and the values to bind."""

    text: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Query:
    """One named statement. `sql` has $1..$n in the order of `params`."""

    name: str
    text: str
    params: tuple[str, ...]
    sql: str

    def bind(self, **values: object) -> Fragment:
        """The block as a fragment of another one, with its values."""
        if set(values) != set(self.params):
            raise UnknownParameter(f"{self.name} takes {self.params}, got {tuple(values)}")
        return Fragment(self.text, values)

    def fill(self, **slots: Fragment | str) -> Composed:
        """The statement with its `{slots}` filled: a Fragment brings its values, a str is trusted SQL text."""
        return compose(self.text, slots)


@dataclass(frozen=True, slots=True)
class Composed:
    """A statement composed of blocks: its own parameters are still `:names`."""

    text: str
    values: Mapping[str, object]

    def statement(self, **values: object) -> tuple[str, list[object]]:
        """SQL with $n and the arguments in their order. Raises UnknownParameter for a name without a value."""
        numbered = _numbered(self.text)
        return numbered.sql, numbered.arguments({**self.values, **values})


def compose(text: str, slots: Mapping[str, Fragment | str]) -> Composed:
    """Fills `{slots}`; parameters of each fragment are prefixed, so that blocks can be used twice. Raises KeyError for
    a slot that is not given."""
    texts = tuple(
        [(name, slot, "") if isinstance(slot, str) else (name, slot.text, f"{name}_") for name, slot in slots.items()]
    )
    filled, used = _filled(text, texts)
    values = {
        f"{name}_{parameter}": value
        for name, slot in slots.items()
        if name in used and not isinstance(slot, str)
        for parameter, value in slot.values.items()
    }
    return Composed(filled, values)


# Large statements are composed for each request, mostly of the same texts, which takes half a millisecond.
@lru_cache(maxsize=CACHE_STATEMENTS)
def _filled(text: str, slots: tuple[tuple[str, str, str], ...]) -> tuple[str, frozenset[str]]:
    """Fills the slots (name, text, prefix of its parameters); and which of them the text has."""
    by_name = {name: prefixed(slot, prefix) if prefix else slot for name, slot, prefix in slots}
    return _SLOT.sub(lambda match: by_name[match.group(1)], text), frozenset(_SLOT.findall(text))


@lru_cache(maxsize=CACHE_STATEMENTS)
def _numbered(text: str) -> NumberedSql:
    return NumberedSql.of(text)


def all_of(fragments: list[Fragment]) -> Fragment:
    """The fragments joined by AND; `true` for none."""
    text = _joined(tuple([fragment.text for fragment in fragments]))
    values = {f"f{i}_{name}": value for i, each in enumerate(fragments) for name, value in each.values.items()}
    return Fragment(text, values)


@lru_cache(maxsize=1024)
def _joined(texts: tuple[str, ...]) -> str:
    """Joins the texts; the parameters of each are prefixed by its index."""
    return " and ".join(f"({prefixed(text, f'f{i}_')})" for i, text in enumerate(texts)) or "true"


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
        yield Query(name, text, params, NumberedSql.of(text, params).sql)


class Queries(Mapping[str, Query]):
    """All blocks of all files, by `noun.block`."""

    def __init__(self, queries: dict[str, Query]) -> None:
        self._queries = queries

    @classmethod
    def load(cls, folder: Path = QUERY_FOLDER) -> Queries:
        """Reads the folder. Raises ValueError for two blocks with the same name."""
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


def statement_of(query: str | Composed, values: Mapping[str, object]) -> tuple[str, list[object]]:
    """SQL and arguments of a named query (`noun.block`) or of a composed one."""
    if isinstance(query, Composed):
        return query.statement(**values)
    named = QUERIES[query]
    return named.sql, [values[name] for name in named.params]
