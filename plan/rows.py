"""Rows: which columns and joins a statement needs for what was asked, and the function that writes a row's JSON text.

A to-one relation is a left join. A page or list below a row is an aggregated sub-select, which comes as JSON. A field
that only a resolver can give is resolved once all rows are there; a page with such fields has a statement of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from graphql import FieldNode, GraphQLObjectType, get_nullable_type, is_list_type, is_non_null_type

from db.connections import PageRequest
from db.rows import Column, RowType, ToMany, ToOne
from db.sources import Listing, Reference
from plan import leaves
from plan.errors import Mismatch, NotPlanned
from plan.fields import Resolver
from plan.sql import MAX_COLUMNS, Statement, named
from plan.values import NonNull, Object, Run, Value, settled, settled_one

if TYPE_CHECKING:
    from plan.compiler import Compiler
    from plan.pages import PagePlan

Row = Any  # a Record, or a list from JSON
Extras = Sequence[str] | None
Write = Callable[[Row, Run, Extras], str]

KEPT_STATEMENTS = 20

# By id of a page or list below: its number among all of them, and what a page was described as.
_Requests: TypeAlias = Mapping[int, tuple[int, Any]]


@dataclass(frozen=True, slots=True)
class ParentColumn:
    """Stands for a column of the row above while a page below it is described."""

    name: str


class _ParentRecord:
    def __getitem__(self, name: str) -> ParentColumn:
        return ParentColumn(name)


PARENT = _ParentRecord()


@dataclass(frozen=True, slots=True)
class Scope:
    """A table in the statement."""

    alias: str
    row_type: RowType


@dataclass(frozen=True, slots=True)
class Source:
    """Rows to read: `tables` stands after `from` and names the root, `rest` after the joins; `last` are columns at the
    end, each after a comma."""

    tables: str
    rest: str
    last: str = ""


@dataclass(frozen=True, slots=True)
class _Below:
    """A page or list below the rows of a scope. `describe` gives a page's request in a run."""

    scope: Scope
    position: int
    total: int | None
    rows: Rows
    describe: Callable[[Run], Any] | None
    number: int
    many: ToMany | None = None


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A field that a resolver gives for rows of a scope."""

    scope: Scope
    type_name: str
    positions: Mapping[str, int]
    get: Callable[[Run, Any], Any]
    value: Value


class Rows:
    """What a statement reads: columns of a row type and of what is joined to it."""

    def __init__(self, compiler: Compiler, row_type: RowType) -> None:
        self._compiler = compiler
        self.row_type = row_type
        self.root = Scope(f"p{compiler.number()}", row_type)
        self.columns: list[str] = []
        self.joins: list[str] = []
        self.resolved: list[_Resolved] = []
        self._positions: dict[str, int] = {}
        self._joined: dict[tuple[str, str, str], Scope] = {}
        self._never_null: dict[str, str] = {}  # a column asked for that is null in no row, by alias
        self._below: list[_Below] = []
        self._every_below: list[_Below] | None = None
        self._statements: dict[Any, Statement] = {}

    def position(self, expression: str) -> int:
        """Where an expression stands among the columns."""
        if expression not in self._positions:
            self._positions[expression] = len(self.columns)
            self.columns.append(expression)
        return self._positions[expression]

    def column(self, scope: Scope, name: str, *, is_jsonb: bool = False) -> int:
        return self.position(f"{scope.alias}.{name}{'::text' if is_jsonb else ''}")

    # Writing

    def write(self, scope: Scope, type_name: str, nodes: Sequence[FieldNode]) -> Write:
        """The function that writes a row of this scope."""
        type_ = self._compiler.object_type(type_name)
        names: dict[str, Any] = {"null": leaves.NULL}
        texts = []
        for key, merged in self._compiler.selections.below(type_, nodes).items():
            name = merged[0].name.value
            text = f'"{type_.name}"' if name == "__typename" else self._field(scope, type_, name, merged, names)
            texts.append(f'"{key}":{text}')
        # Nothing but names of the schema and aliases, both [_A-Za-z0-9]+, and positions gets into this text.
        source = "lambda v, run, x: f'{{" + ",".join(texts) + "}}'"
        function: Write = eval(source, names)  # noqa: S307
        return function

    def _field(
        self, scope: Scope, type_: GraphQLObjectType, name: str, nodes: Sequence[FieldNode], names: dict[str, Any]
    ) -> str:
        """A part of an f-string over `v`, `run` and `x` that gives the field's text."""
        declared = self._compiler.fields.field(type_.name, name)
        output = type_.fields[name].type

        def use(value: Any) -> str:
            used = f"f{len(names)}"
            names[used] = value
            return used

        if isinstance(declared, Column):
            expression = self._column(scope, declared, output, nodes, use)
            return f'"{{{expression}}}"' if declared.is_plain else f"{{{expression}}}"
        if isinstance(declared, ToOne):
            return f"{{{self._to_one(scope, declared, output, nodes, use)}}}"
        if isinstance(declared, ToMany):
            return f"{{{self._to_many(scope, type_, declared, name, nodes, use)}}}"
        if not isinstance(declared, Resolver):
            raise NotPlanned("attribute of a row")
        page = self._compiler.value(output, nodes)
        of = page.of if isinstance(page, NonNull) else page
        if isinstance(of, Object) and of.page is not None and not of.page.rows.has_resolved:
            return f"{{{self._page(scope, type_, declared, nodes, of.page, use)}}}"
        return f"{{{self._resolve(scope, type_, self._getter(type_, declared, nodes), page)}}}"

    def _column(
        self, scope: Scope, column: Column, output: Any, nodes: Sequence[FieldNode], use: Callable[[Any], str]
    ) -> str:
        values = [f"v[{self.column(scope, name, is_jsonb=column.is_jsonb)}]" for name in column.columns]
        write = self._compiler.pure(output, nodes)
        if write is None:
            raise NotPlanned("column")
        read = column.read
        if read is not None and column.with_context:
            function = use(lambda run, *arguments: write(read(run.context, *arguments)))
            return f"{function}(run,{','.join(values)})"
        if read is not None and is_list_type(get_nullable_type(output)):  # of a list perhaps, which no key can be
            return f"{use(lambda *arguments: write(read(*arguments)))}({','.join(values)})"
        if read is not None and column.is_plain:
            return f"{use(read)}({','.join(values)})"
        if read is not None:
            one = len(values) == 1
            known = use(leaves.Remembered(lambda key: write(read(key) if one else read(*key))))
            return f"{known}[{','.join(values)}]"
        if is_non_null_type(output):
            self._never_null.setdefault(scope.alias, column.columns[0])
            return f"{use(write)}({values[0]})"
        inner = self._compiler.pure(output, nodes) if not hasattr(output, "name") else None
        function = use(inner or leaves.leaf(output))
        return f"({function}({values[0]}) if {values[0]} is not None else null)"

    def _to_one(
        self, scope: Scope, to_one: ToOne, output: Any, nodes: Sequence[FieldNode], use: Callable[[Any], str]
    ) -> str:
        target = self._join(scope, to_one)
        write = self.write(target, target.row_type.name, nodes)
        found = f"v[{self.column(target, self._never_null.get(target.alias, to_one.by))}] is not None"
        missing = f"{use(_missing)}()" if is_non_null_type(output) else "null"
        return f"({use(write)}(v,run,x) if {found} else {missing})"

    def _join(self, scope: Scope, to_one: ToOne) -> Scope:
        identity = (scope.alias, to_one.key, to_one.by + to_one.target().name)
        if identity not in self._joined:
            target = Scope(f"j{self._compiler.number()}", to_one.target())
            on = f"{target.alias}.{to_one.by} = {scope.alias}.{to_one.key}{_owned(target)}"
            self.joins.append(f"left join {target.row_type.table} {target.alias} on {on}")
            self._joined[identity] = target
        return self._joined[identity]

    def _to_many(
        self,
        scope: Scope,
        type_: GraphQLObjectType,
        to_many: ToMany,
        name: str,
        nodes: Sequence[FieldNode],
        use: Callable[[Any], str],
    ) -> str:
        rows = Rows(self._compiler, to_many.target())
        write = rows.write(rows.root, rows.row_type.name, nodes)
        if rows.has_resolved:
            value = self._compiler.value(type_.fields[name].type, nodes)
            return self._resolve(scope, type_, loaded(to_many), value)
        position = self.position(f"/*list {rows.root.alias}*/")
        self._below.append(_Below(scope, position, None, rows, None, -1, to_many))

        def write_list(value: Any, run: Run) -> str:
            return f"[{','.join([write(v, run, None) for v in decoded(value)])}]"

        return f"{use(write_list)}(v[{position}],run)"

    def _page(
        self,
        scope: Scope,
        type_: GraphQLObjectType,
        resolver: Resolver,
        nodes: Sequence[FieldNode],
        page: PagePlan,
        use: Callable[[Any], str],
    ) -> str:
        get = self._getter(type_, resolver, nodes)
        blank = self._compiler.fields.blank(type_.name, PARENT)
        position = self.position(f"/*page {page.number}*/")
        total = self.position(f"/*total {page.number}*/") if page.has_total else None
        self._below.append(_Below(scope, position, total, page.rows, lambda run: get(run, blank), page.number))

        def write_page(run: Run, rows: Any, count: int | None = None) -> str:
            return page.write(decoded(rows), count, run.pages[page.number], run, None)

        arguments = f"run,v[{position}]" + ("" if total is None else f",v[{total}]")
        return f"{use(write_page)}({arguments})"

    def _getter(
        self, type_: GraphQLObjectType, resolver: Resolver, nodes: Sequence[FieldNode]
    ) -> Callable[[Run, Any], Any]:
        arguments = self._compiler.arguments(type_, nodes[0], resolver)
        return lambda run, value: resolver.call(value, run.info, arguments(run))

    def _resolve(self, scope: Scope, type_: GraphQLObjectType, get: Callable[[Run, Any], Any], value: Value) -> str:
        positions = {name: self.column(scope, name) for name in scope.row_type.columns}
        self.resolved.append(_Resolved(scope, type_.name, positions, get, value))
        return f"x[{len(self.resolved) - 1}]"

    @property
    def has_resolved(self) -> bool:
        """Whether rows need more than their statement."""
        return bool(self.resolved)

    async def extras(self, run: Run, rows: Sequence[Row]) -> list[list[str]]:
        """Per row, the texts of what resolvers give for it."""
        texts: list[list[str]] = [[] for _ in rows]
        for resolved in self.resolved:
            key = resolved.positions[resolved.scope.row_type.columns[0]]
            present = [position for position, row in enumerate(rows) if row[key] is not None]
            objects = []
            for position in present:
                record = {name: rows[position][at] for name, at in resolved.positions.items()}
                objects.append(resolved.scope.row_type.make(record))
            values = await settled([resolved.get(run, each) for each in objects])
            found = dict(zip(present, await resolved.value.texts(run, values), strict=True))
            for position, extra in enumerate(texts):
                extra.append(found.get(position, leaves.NULL))
        return texts

    # Reading

    async def fetch(
        self,
        run: Run,
        identity: Hashable,
        source: Callable[[], Source],
        values: Mapping[str, Any],
        *,
        is_last: bool = False,
    ) -> list[Row]:
        """Rows of a source, which `identity` names among those of these rows, whatever `values` its parameters have.
        `is_last`: no other statement of the run comes after it, but those of fields that a resolver gives."""
        session = run.context.session
        given: dict[str, Any] = {"subject": session.claims.subject, **values}
        requests: list[tuple[_Below, tuple[PageRequest, ParentColumn] | None]] = []
        if self._below:
            requests = [(below, await self._described(below, run)) for below in self._all_below()]
            shapes = [identity]
            for index, (_, described) in enumerate(requests):
                if described is not None:
                    shapes.append(described[0].shape)
                    for name, value in described[0].values().items():
                        given[f"n{index}_{name}"] = value
            identity = tuple(shapes)
        statement = self._statements.get(identity)
        if statement is None:
            if len(self._statements) >= KEPT_STATEMENTS:
                self._statements.clear()
            described_below = {id(below): (index, found) for index, (below, found) in enumerate(requests)}
            statement = self._statements[identity] = self._statement(source(), described_below)
        is_over = is_last and not self.has_resolved and session.read_only
        run_statement = session.run_last if is_over else session.run
        rows: list[Row] = await run_statement(statement.sql, statement.arguments(given))
        return rows

    def _statement(self, source: Source, requests: _Requests) -> Statement:
        columns = self._select_list(requests) + source.last
        return Statement.of(f"select {columns} from {source.tables}{self.joined}{source.rest}")

    def _all_below(self) -> list[_Below]:
        if self._every_below is None:
            self._every_below = []
            for below in self._below:
                self._every_below += [below, *below.rows._all_below()]  # noqa: SLF001
        return self._every_below

    async def _described(self, below: _Below, run: Run) -> tuple[PageRequest, ParentColumn] | None:
        if below.describe is None:
            return None
        connection = await settled_one(below.describe(run))
        run.pages[below.number] = connection.request
        return connection.request, connection.parent_key

    def _select_list(self, requests: _Requests) -> str:
        columns = list(self.columns) or ["1"]
        for below in self._below:
            rows = below.rows
            columns[below.position] = (
                f"(select coalesce(json_agg({rows.json(requests)} order by {rows.root.alias}.row_number), '[]')"
                f" from {rows.numbered(self._inner(below, requests))}{rows.joined})"
            )
            if below.total is not None:
                index, (request, parent) = requests[id(below)]
                counted = request.count_text(f"{below.scope.alias}.{parent.name}")
                columns[below.total] = f"({named(counted, f'n{index}_')})"
        return ", ".join(columns)

    def _inner(self, below: _Below, requests: _Requests) -> str:
        """The rows of a page or list before anything is joined to them."""
        index, described = requests[id(below)]
        row_type = below.rows.row_type
        columns = row_type.select_list("r")
        if described is not None:
            request, parent = described
            return named(request.page_text(columns, f"{below.scope.alias}.{parent.name}"), f"n{index}_")
        assert below.many is not None
        many = below.many
        # The list's own table has the alias r, as its condition and order say; what is above has others.
        return (
            f"select {columns} from {row_type.table} r"
            f" where r.{many.by} = {below.scope.alias}.{many.key}{_owned(Scope('r', row_type))}"
            f" and ({many.where}) order by {many.order_by} limit {many.most}"
        )

    def json(self, requests: _Requests) -> str:
        """The columns of a row as a JSON array."""
        if len(self.columns) > MAX_COLUMNS:
            raise NotPlanned("columns")
        return f"json_build_array({self._select_list(requests)})"

    def numbered(self, inner: str) -> str:
        """A sub-select as the root, with its order kept in `row_number`. Numbered outside the limit, inside the joins:
        rows that the limit drops are not numbered, and joins need not keep an order."""
        return f"(select s.*, row_number() over () as row_number from ({inner}) s) {self.root.alias}"

    @property
    def joined(self) -> str:
        return "".join(f" {join}" for join in self.joins)


class RowPlan:
    """Rows that a source names, written as one GraphQL type."""

    def __init__(self, compiler: Compiler, row_type: RowType, nodes: Sequence[FieldNode]) -> None:
        self.rows = Rows(compiler, row_type)
        self._write = self.rows.write(self.rows.root, row_type.name, nodes)

    async def referenced(self, run: Run, references: Sequence[Reference], *, is_last: bool) -> list[str]:
        """A text per reference, all by one column; null where there is no such row."""
        rows, by, first = self.rows, references[0].by, references[0].key
        position = rows.column(rows.root, by)
        is_one = len(references) == 1
        kind = "text" if isinstance(first, str) else "uuid"

        def source() -> Source:
            root = rows.root
            condition = f"= :key::{kind}" if is_one else f"= any(:keys::{kind}[])"
            return Source(f"{root.row_type.table} {root.alias}", f" where {root.alias}.{by} {condition}{_owned(root)}")

        values = {"key": first} if is_one else {"keys": list({each.key: None for each in references})}
        found = await rows.fetch(run, (by, kind, is_one), source, values, is_last=is_last)
        texts = await self._texts(run, found)
        if is_one:
            return texts or [leaves.NULL]
        by_key = {row[position]: text for row, text in zip(found, texts, strict=True)}
        return [by_key.get(each.key, leaves.NULL) for each in references]

    async def listed(self, run: Run, listing: Listing, *, is_last: bool) -> list[str]:
        """A text per row of a listing."""
        rows = self.rows

        def source() -> Source:
            inner = (
                f"select {rows.row_type.select_list('r')} from {rows.row_type.table} r"
                f" where {listing.where} order by {listing.order_by} limit :size::int"
            )
            return Source(rows.numbered(inner), f" order by {rows.root.alias}.row_number")

        identity = (listing.where, listing.order_by)
        found = await rows.fetch(run, identity, source, {"size": listing.size}, is_last=is_last)
        return await self._texts(run, found)

    async def _texts(self, run: Run, found: Sequence[Row]) -> list[str]:
        write = self._write
        if not self.rows.has_resolved:
            return [write(row, run, None) for row in found]
        extras = await self.rows.extras(run, found)
        return [write(row, run, extra) for row, extra in zip(found, extras, strict=True)]


def decoded(value: Any) -> list[Any]:
    """The rows of a sub-select: text in a row, already a list within other rows."""
    rows: list[Any] = msgspec.json.decode(value) if type(value) is str else value
    return rows


def _owned(scope: Scope) -> str:
    """Row level security says the same; said here too, the index on the owner is used."""
    return f" and {scope.alias}.{scope.row_type.owner} = :subject::uuid" if scope.row_type.owner else ""


def _missing() -> str:
    raise Mismatch("a row that must be there")


def loaded(to_many: ToMany) -> Callable[[Run, Any], Any]:
    """Gives the rows of a relation, through a loader."""

    async def rows(run: Run, value: Any) -> Any:
        loader = run.context.session.loaders.many_by(to_many.target(), to_many.by, to_many.order_by, to_many.where)
        return (await loader.load(value.record[to_many.key]))[: to_many.most]

    return rows
