"""The builder of select statements over rows: outputs by name, joins, and nested selects as JSON.

It knows tables, relations and pages, and nothing of GraphQL. A to-one relation is a left join. A list or page below a
row is a nested select, aggregated to JSON: one output of the row, a list of lists.

An output is requested by name and then has a fixed position in the row, by which renderers read it. The pages that a
select reads are passed only when its text is built, as `Pages`, because they differ from run to run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from db.queries import prefixed
from db.rows import RowType, ToMany, ToOne
from plan.errors import NotPlanned, Reason
from plan.fields import Page

MAX_NESTED_OUTPUTS = 100  # Postgres' limit of arguments, for json_build_array


@dataclass(frozen=True, slots=True)
class Table:
    """A table in the statement."""

    alias: str
    row_type: RowType

    def column(self, name: str) -> str:
        """SQL of one of its columns."""
        return f"{self.alias}.{name}"

    @property
    def owner_condition(self) -> str:
        """` and ...`, or empty. Redundant with row level security, but lets Postgres use the index on the owner."""
        return f" and {self.column(self.row_type.owner)} = :subject::uuid" if self.row_type.owner else ""


Pages = Mapping[str, Page]  # by alias of the root of the select that reads them


@dataclass(frozen=True, slots=True)
class FromClause:
    """The rows that a statement reads. `tables` follows `from` and names the root; `rest` follows the joins; `outputs`
    are additional columns by name, which come last."""

    tables: str
    rest: str
    outputs: Mapping[str, str] = field(default_factory=dict)


class _Output(ABC):
    """A column of the result."""

    @abstractmethod
    def sql(self, pages: Pages) -> str:
        """The SQL expression, with `:names`."""


@dataclass(frozen=True, slots=True)
class _Column(_Output):
    text: str

    def sql(self, pages: Pages) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class _SortValue(_Output):
    """A sort value of the select's own page; null if the page's order has fewer, as orders of a type differ."""

    root: Table
    index: int

    def sql(self, pages: Pages) -> str:
        is_there = self.index < len(pages[self.root.alias].request.order.keys)
        return self.root.column(f"sort_{self.index}") if is_there else "null"


@dataclass(frozen=True, slots=True)
class _NestedList(_Output):
    """The rows of a to-many relation, as JSON."""

    outer: Table
    to_many: ToMany
    select: Select

    def sql(self, pages: Pages) -> str:
        # The list's table has the alias r, which its condition and order use; tables above have others.
        many, row_type = self.to_many, self.select.root.row_type
        return self.select.nested(
            f"select {row_type.select_list('r')} from {row_type.table} r"
            f" where r.{many.by} = {self.outer.column(many.key)}{Table('r', row_type).owner_condition}"
            f" and ({many.where}) order by {many.order_by} limit {many.limit}",
            pages,
        )


@dataclass(frozen=True, slots=True)
class _NestedPageRows(_Output):
    """The rows of a page, as JSON. `parent_key` is SQL."""

    parent_key: str
    select: Select

    def sql(self, pages: Pages) -> str:
        root = self.select.root
        page = pages[root.alias]
        text = page.request.page_text(root.row_type.select_list("r"), self.parent_key)
        return self.select.nested(prefixed(text, prefix_of(root.alias)), pages)


@dataclass(frozen=True, slots=True)
class _NestedPageTotal(_Output):
    """The total number of rows of the page's connection. `parent_key` is SQL."""

    parent_key: str
    root: Table

    def sql(self, pages: Pages) -> str:
        text = pages[self.root.alias].request.count_text(self.parent_key)
        return f"({prefixed(text, prefix_of(self.root.alias))})"


class Select:
    """A select over one row type: its outputs and joins."""

    def __init__(self, row_type: RowType, new_alias: Callable[[str], str]) -> None:
        """`new_alias` returns an alias with the given prefix that is unique in the statement."""
        self.root = Table(new_alias("p"), row_type)
        self._new_alias = new_alias
        self._outputs: dict[str, _Output] = {}
        self._positions: dict[str, int] = {}
        self._joined: dict[tuple[str, str, str, str], Table] = {}
        self._joins: list[str] = []

    def column(self, table: Table, name: str, *, as_text: bool = False) -> int:
        """Position of a column of the root or of a joined table."""
        text = f"{table.alias}.{name}::text" if as_text else f"{table.alias}.{name}"
        known = self._positions.get(text)  # keys are looked up at run time
        return self._output(text, _Column(text)) if known is None else known

    def sort_value(self, index: int) -> int:
        """Position of a sort value of the select's own page."""
        return self._output(f"sort {index}", _SortValue(self.root, index))

    def join(self, table: Table, to_one: ToOne) -> Table:
        """The table of a to-one relation, joined once."""
        row_type = to_one.target()
        identity = (table.alias, to_one.key, to_one.by, row_type.name)
        if identity not in self._joined:
            target, key = Table(self._new_alias("j"), row_type), table.column(to_one.key)
            if row_type.aliases is not None and to_one.keeps_old_ids:
                known = self._new_alias("a")
                self._joins.append(f" left join ({row_type.aliases}) {known} on {known}.alias = {key}")
                key = f"{known}.id"
            on = f"{target.column(to_one.by)} = {key}{target.owner_condition}"
            self._joins.append(f" left join {row_type.table} {target.alias} on {on}")
            self._joined[identity] = target
        return self._joined[identity]

    def nest_list(self, outer: Table, to_many: ToMany, select: Select) -> int:
        """Position of the rows of a to-many relation. Raises NotPlanned if they have too many outputs."""
        return self._nest(f"list {select.root.alias}", _NestedList(outer, to_many, select), select)

    def nest_page(self, outer: Table, key: str, select: Select) -> int:
        """Position of the rows of a page whose parent's key is in the outer table's column `key`. Raises NotPlanned if
        they have too many outputs."""
        return self._nest(f"page {select.root.alias}", _NestedPageRows(outer.column(key), select), select)

    def nest_total(self, outer: Table, key: str, select: Select) -> int:
        """Position of the total number of rows of that page's connection. Raises NotPlanned below a to-one relation,
        whose row many rows may share: a loader counts once for all of them."""
        if outer != self.root:
            raise NotPlanned(Reason.SHARED_COUNT)
        return self._output(f"total {select.root.alias}", _NestedPageTotal(outer.column(key), select.root))

    def text(self, source: FromClause, pages: Pages) -> str:
        """The statement, with `:names`; those of a nested page start with `prefix_of` its alias."""
        columns = [self._outputs_text(pages)]
        columns += [f"{expression} as {name}" for name, expression in source.outputs.items()]
        return f"select {', '.join(columns)} from {source.tables}{self._joins_text}{source.rest}"

    def nested(self, inner: str, pages: Pages) -> str:
        """The statement as an output of another one: the rows of `inner`, in their order, as a JSON list of lists."""
        row = f"json_build_array({self._outputs_text(pages)})"
        return (
            f"(select coalesce(json_agg({row} order by {self.root.column('row_number')}), '[]')"
            f" from {self.numbered(inner)}{self._joins_text})"
        )

    def numbered(self, inner: str) -> str:
        """A sub-select as the root, with its order kept in `row_number`. Rows are numbered after the limit, so that
        dropped ones are not numbered, and before the joins, which need not preserve the order."""
        return f"(select s.*, row_number() over () as row_number from ({inner}) s) {self.root.alias}"

    def _output(self, name: str, expression: _Output) -> int:
        if name not in self._outputs:
            self._positions[name] = len(self._outputs)
            self._outputs[name] = expression
        return self._positions[name]

    def _nest(self, name: str, expression: _Output, select: Select) -> int:
        if len(select._outputs) > MAX_NESTED_OUTPUTS:
            raise NotPlanned(Reason.COLUMNS)
        return self._output(name, expression)

    def _outputs_text(self, pages: Pages) -> str:
        return ", ".join([each.sql(pages) for each in self._outputs.values()]) or "1"

    @property
    def _joins_text(self) -> str:
        return "".join(self._joins)


def prefix_of(alias: str) -> str:
    """The prefix of a nested page's parameters."""
    return f"{alias}_"
