"""Plans for pages of Relay connections, rendered from rows with their sort values."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
from graphql import FieldNode, GraphQLNamedType, GraphQLObjectType, get_named_type

from db.pages import ROOT, PageRequest, count
from db.rows import RowType
from domain.pages import Cursor
from plan.codegen import Render, Resolved, Row
from plan.errors import NotPlanned, Reason
from plan.fields import Page
from plan.leaves import NULL, boolean, integer, string
from plan.renderers import RowRenderer, render_rows
from plan.select import FromClause
from plan.steps import RowStep
from plan.templates import template
from plan.values import Run

if TYPE_CHECKING:
    from plan.compiler import Compiler


@dataclass(slots=True)
class _PageInRun:
    """A page during rendering."""

    rows: Sequence[Row]
    resolved: Sequence[Resolved] | None
    has_next: bool
    has_previous: bool
    total: int | None
    cursors: Sequence[str]


Part = Callable[[_PageInRun, Run], str]


class PagePlan:
    """The plan for a connection and its selected fields."""

    def __init__(self, compiler: Compiler, type_: GraphQLObjectType, nodes: Sequence[FieldNode]) -> None:
        """Raises NotPlanned."""
        self.has_total = False
        self._has_cursors = False
        self._compiler = compiler
        row_type = compiler.fields.row_type(get_named_type(type_.fields["nodes"].type).name)
        if row_type is None:
            raise NotPlanned(Reason.CONNECTION)
        self.step = RowStep(row_type, compiler.new_alias)
        self._renderer = RowRenderer(compiler, self.step)
        self._template = template(compiler.selections, type_, nodes, lambda *field: self._part(type_, *field))
        self._sorts = [self.step.select.sort_value(i) for i in range(_longest(row_type))] if self._has_cursors else []

    async def render(self, run: Run, pages: Sequence[Page], *, is_last: bool = False) -> list[str]:
        """Renders each page as JSON; pages that differ only in their parent share one statement. Raises what
        Value.render raises."""
        rendered = [NULL] * len(pages)
        groups: dict[Hashable, list[int]] = {}
        for number, page in enumerate(pages):
            groups.setdefault(page.request.identity, []).append(number)
        while groups:
            _, numbers = groups.popitem()
            group = [pages[number] for number in numbers]
            for number, text in zip(numbers, await self._render_group(run, group, is_last and not groups), strict=True):
                rendered[number] = text
        return rendered

    async def _render_group(self, run: Run, pages: Sequence[Page], is_last: bool) -> list[str]:
        """Renders pages that have the same request and different parents."""
        request = pages[0].request
        keys = [page.parent_key for page in pages]
        counts_apart = self.has_total and request.parent is not None
        found = await self._fetch(run, pages[0], keys, is_last=is_last and not counts_apart)
        totals: Sequence[int | None] = [None] * len(keys)
        if counts_apart:
            totals = await count(run.context.session, request, keys)
        elif self.has_total:
            totals = [found[0]["page_total"]] * len(keys)
            found = [row for row in found if row["page_row"] is not None]
        resolved = await self.step.resolve(run, found) if self.step.has_resolved else None
        of_key: dict[Hashable, list[int]] = {key: [] for key in keys}
        for number, row in enumerate(found):
            of_key[row["page_key"] or ROOT].append(number)
        rendered = []
        for key, total in zip(keys, totals, strict=True):
            rows = [found[number] for number in of_key[key]]
            resolved_in_window = None if resolved is None else [resolved[number] for number in of_key[key]]
            rendered.append(self.render_page(rows, total, request, run, resolved_in_window))
        return rendered

    async def _fetch(self, run: Run, page: Page, keys: Sequence[Hashable], *, is_last: bool) -> list[asyncpg.Record]:
        """The rows of one page per key, with the key as `page_key`, which is null without a parent. With a total and no
        parent, rows also have `page_total` and `page_row`; an empty page is then a single row whose `page_row` is
        null."""
        request = page.request
        run.pages[self.step.select.root.alias] = page
        values = request.values()
        if request.parent:
            values["page_keys"] = list(dict.fromkeys(keys))
        return await self.step.fetch(run, request.shape, lambda: self._source(request), values, is_last=is_last)

    def _source(self, request: PageRequest) -> FromClause:
        select = self.step.select
        rows = select.numbered(request.pages_text())
        number = select.root.column("row_number")
        outputs = {"page_key": select.root.column("page_key")}
        if self.has_total and not request.parent:
            rows = f"(select) one left join {rows} on true"
            outputs |= {"page_row": number, "page_total": f"({request.count_text()})"}
        return FromClause(rows, f" order by {number}", outputs)

    def render_page(
        self,
        found: Sequence[Row],
        total: int | None,
        request: PageRequest,
        run: Run,
        resolved: Sequence[Resolved] | None,
    ) -> str:
        """Renders a page as JSON. `found` are the rows of its statement, including an extra one if there is a next
        page; `resolved` is what the step resolved for each. Raises Mismatch."""
        window = request.window(found)
        rows = window.rows
        cursors: Sequence[str] = ()
        if self._has_cursors:
            signer, scope = run.context.services.cursors, request.scope
            sorts = self._sorts[: len(request.order.keys)]
            cursors = [Cursor(scope, tuple([row[at] for at in sorts])).sign(signer) for row in rows]
        resolved_in_window = None if resolved is None else request.window(resolved).rows
        page = _PageInRun(rows, resolved_in_window, window.has_next, window.has_previous, total, cursors)
        return self._template.text % tuple([part(page, run) for part in self._template.parts])

    def _part(self, type_: GraphQLObjectType, name: str, nodes: Sequence[FieldNode]) -> Part:
        of = get_named_type(type_.fields[name].type)
        match name:
            case "nodes":
                return self._nodes(of, nodes)
            case "edges":
                return self._edges(of, nodes)
            case "pageInfo":
                return self._page_info(of, nodes)
            case "totalCount":
                self.has_total = True
                return lambda page, run: integer(page.total)
        raise NotPlanned(Reason.CONNECTION_FIELD)

    def _item(self, type_: GraphQLNamedType, nodes: Sequence[FieldNode]) -> Render:
        return self._renderer.compile(self.step.select.root, type_.name, nodes)

    def _nodes(self, type_: GraphQLNamedType, nodes: Sequence[FieldNode]) -> Part:
        render = self._item(type_, nodes)
        return lambda page, run: f"[{','.join(render_rows(render, page.rows, run, page.resolved))}]"

    def _edges(self, type_: GraphQLNamedType, nodes: Sequence[FieldNode]) -> Part:
        edge_type = self._compiler.object_type(type_.name)

        def field(name: str, merged: Sequence[FieldNode]) -> Render | None:
            if name == "node":
                return self._item(get_named_type(edge_type.fields[name].type), merged)
            self._has_cursors = True
            return None

        edge = template(self._compiler.selections, edge_type, nodes, field)

        def part(page: _PageInRun, run: Run) -> str:
            columns = [
                [string(cursor) for cursor in page.cursors]
                if render is None
                else render_rows(render, page.rows, run, page.resolved)
                for render in edge.parts
            ]
            if not columns:
                return f"[{','.join([edge.text] * len(page.rows))}]"
            return f"[{','.join([edge.text % members for members in zip(*columns, strict=True)])}]"

        return part

    def _page_info(self, type_: GraphQLNamedType, nodes: Sequence[FieldNode]) -> Part:
        def field(name: str, merged: Sequence[FieldNode]) -> Callable[[_PageInRun], str]:
            match name:
                case "hasNextPage":
                    return lambda page: boolean(page.has_next)
                case "hasPreviousPage":
                    return lambda page: boolean(page.has_previous)
                case "startCursor":
                    self._has_cursors = True
                    return lambda page: string(page.cursors[0]) if page.cursors else NULL
                case "endCursor":
                    self._has_cursors = True
                    return lambda page: string(page.cursors[-1]) if page.cursors else NULL
            raise NotPlanned(Reason.PAGE_INFO_FIELD)

        info = template(self._compiler.selections, self._compiler.object_type(type_.name), nodes, field)
        return lambda page, run: info.text % tuple([part(page) for part in info.parts])


def _longest(row_type: RowType) -> int:
    """The maximum number of sort values over all orders of the type, any of which a request may choose."""
    return max(len(order.keys) for order in row_type.orders.values())
