"""Compiles the selected fields of a row into outputs of its select, and a function that renders them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from graphql import (
    FieldNode,
    GraphQLObjectType,
    GraphQLOutputType,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
)

from db.rows import Column, ToMany, ToOne
from plan.codegen import (
    Expression,
    Render,
    RenderFunction,
    Resolved,
    Row,
    call,
    look_up,
    output,
    resolved_field,
    unless_null,
)
from plan.errors import Mismatch, NotPlanned, Reason
from plan.fields import PageField, Resolver
from plan.leaves import Memo
from plan.select import Table
from plan.steps import Describe, RowStep, related
from plan.values import Get, NonNull, Object, Run, Value

if TYPE_CHECKING:
    from plan.compiler import Compiler
    from plan.pages import PagePlan


class RowRenderer:
    """Compiles renderers for the rows that one step reads."""

    def __init__(self, compiler: Compiler, step: RowStep) -> None:
        self._compiler = compiler
        self._step = step
        self._never_null: dict[str, str] = {}  # by alias, a selected column that is never null

    def compile(self, table: Table, type_name: str, nodes: Sequence[FieldNode]) -> Render:
        """A function that renders this table's columns of a row as an object. The columns it needs are added to the
        step's outputs. It raises Mismatch for values that their GraphQL type does not allow. Raises NotPlanned."""
        type_ = self._compiler.object_type(type_name)
        function = RenderFunction()
        for key, merged in self._compiler.selections.below(type_, nodes).items():
            name = merged[0].name.value
            if name == "__typename":
                function.add_fixed(key, f'"{type_.name}"')
                continue
            declared = self._compiler.fields.field(type_.name, name)
            is_plain = isinstance(declared, Column) and declared.is_plain
            function.add(key, self._field(function, table, type_, name, merged), is_plain=is_plain)
        return function.compile()

    def _field(
        self,
        function: RenderFunction,
        table: Table,
        type_: GraphQLObjectType,
        name: str,
        nodes: Sequence[FieldNode],
    ) -> Expression:
        declared = self._compiler.fields.field(type_.name, name)
        type_of_field = type_.fields[name].type
        if isinstance(declared, Column):
            return self._column(function, table, declared, type_of_field, nodes)
        if isinstance(declared, ToOne):
            return self._to_one(function, table, declared, type_of_field, nodes)
        if isinstance(declared, ToMany):
            return self._to_many(function, table, declared, type_of_field, nodes)
        if not isinstance(declared, Resolver | PageField):
            raise NotPlanned(Reason.ATTRIBUTE)
        value = self._compiler.value(type_of_field, nodes)
        of = value.of if isinstance(value, NonNull) else value
        if (
            isinstance(declared, PageField)
            and isinstance(of, Object)
            and of.page is not None
            and not of.page.step.has_resolved
        ):
            describe = self._compiler.describer(type_, declared, nodes)
            return self._page(function, table, of.page, declared.key, describe)
        return self._resolved(table, self._compiler.getter(type_, declared, nodes), value)

    def _column(
        self,
        function: RenderFunction,
        table: Table,
        column: Column,
        type_: GraphQLOutputType,
        nodes: Sequence[FieldNode],
    ) -> Expression:
        render = self._compiler.pure(type_, nodes)
        if render is None:  # below it are fields with arguments
            value = self._compiler.value(type_, nodes)
            return resolved_field(
                self._step.add_resolved(table, lambda run, row: column.value(row.record, run.context), value)
            )
        select = self._step.select
        values = [output(select.column(table, name, as_text=column.is_jsonb)) for name in column.columns]
        read = column.read
        if read is None:
            if is_non_null_type(type_):
                self._never_null.setdefault(table.alias, column.columns[0])
                return call(function.bind(render), values[0])
            present = self._compiler.pure_not_null(type_, nodes)
            assert present is not None  # because `pure` has returned a function
            return unless_null(values[0], call(function.bind(present), values[0]))
        if column.with_context:
            bound = function.bind(lambda run, *arguments: render(read(run.context, *arguments)))
            return call(bound, "run", *values)
        if is_list_type(get_nullable_type(type_)):  # the column may be a list, which is not hashable
            return call(function.bind(lambda *arguments: render(read(*arguments))), *values)
        if column.is_plain:
            return call(function.bind(read), *values)
        if len(values) == 1:
            return look_up(function.bind(Memo(lambda key: render(read(key)))), *values)
        return look_up(function.bind(Memo(lambda key: render(read(*key)))), *values)

    def _to_one(
        self,
        function: RenderFunction,
        table: Table,
        to_one: ToOne,
        type_: GraphQLOutputType,
        nodes: Sequence[FieldNode],
    ) -> Expression:
        target = self._step.select.join(table, to_one)
        render = function.bind(self.compile(target, target.row_type.name, nodes))
        found = self._step.select.column(target, self._never_null.get(target.alias, to_one.by))
        rendered = call(render, "row", "run", "resolved")
        if is_non_null_type(type_):
            return unless_null(output(found), rendered, call(function.bind(_missing)))
        return unless_null(output(found), rendered)

    def _to_many(
        self,
        function: RenderFunction,
        table: Table,
        to_many: ToMany,
        type_of_field: GraphQLOutputType,
        nodes: Sequence[FieldNode],
    ) -> Expression:
        step = RowStep(to_many.target(), self._compiler.new_alias)
        render = RowRenderer(self._compiler, step).compile(step.select.root, step.row_type.name, nodes)
        if step.has_resolved:
            return self._resolved(table, related(to_many), self._compiler.value(type_of_field, nodes))
        position = self._step.nest_list(table, to_many, step)

        def render_list(rows: str | Sequence[Row], run: Run) -> str:
            return f"[{','.join([render(row, run, None) for row in _decoded(rows)])}]"

        return call(function.bind(render_list), output(position), "run")

    def _page(self, function: RenderFunction, table: Table, page: PagePlan, key: str, describe: Describe) -> Expression:
        position = self._step.nest_page(table, key, page.step, describe)
        alias = page.step.select.root.alias

        def render_page(run: Run, rows: str | Sequence[Row], total: int | None = None) -> str:
            return page.render_page(_decoded(rows), total, run.pages[alias].request, run, None)

        bound = function.bind(render_page)
        if not page.has_total:
            return call(bound, "run", output(position))
        return call(bound, "run", output(position), output(self._step.select.nest_total(table, key, page.step.select)))

    def _resolved(self, table: Table, get: Get, value: Value) -> Expression:
        return resolved_field(self._step.add_resolved(table, get, value))


def render_rows(render: Render, rows: Sequence[Row], run: Run, resolved: Sequence[Resolved] | None) -> list[str]:
    """Renders each row as JSON; `resolved` is what the step resolved for each. Raises Mismatch."""
    if resolved is None:
        return [render(row, run, None) for row in rows]
    return [render(row, run, each) for row, each in zip(rows, resolved, strict=True)]


def _decoded(rows: str | Sequence[Row]) -> Sequence[Row]:
    """The rows of a nested select: JSON text in a row of the statement, a list in a row of another nested select."""
    if isinstance(rows, str):
        decoded: Sequence[Row] = msgspec.json.decode(rows)
        return decoded
    return rows


def _missing() -> str:
    raise Mismatch("missing row of a non-null relation")
