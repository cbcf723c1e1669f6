"""Pages of connections as Relay has them, written from rows that carry their sort values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql import FieldNode, GraphQLObjectType, get_named_type

from db import connections
from db.connections import ROOT, PageRequest
from db.rows import RowType
from domain.pages import Cursor
from plan.errors import NotPlanned
from plan.leaves import NULL, boolean, integer, string
from plan.rows import Extras, Row, Rows, Source, Write
from plan.values import Run

if TYPE_CHECKING:
    from plan.compiler import Compiler


@dataclass(slots=True)
class _Page:
    """A page that is being written."""

    request: PageRequest
    rows: Sequence[Row]
    extras: Sequence[Extras]
    has_more: bool
    total: int | None
    cursors: list[str]


Part = Callable[[_Page, Run], str]


class PagePlan:
    """A connection and what is asked for of it."""

    def __init__(self, compiler: Compiler, type_: GraphQLObjectType, nodes: Sequence[FieldNode]) -> None:
        self.number = compiler.number()
        self.has_total = False
        self._has_cursors = False
        self._compiler = compiler
        item = get_named_type(type_.fields["nodes"].type)
        row_type = compiler.fields.row_type(item.name)
        if row_type is None:
            raise NotPlanned("connection over no rows")
        self.rows = Rows(compiler, row_type)
        self._template, self._parts = self._object(type_, nodes, self._part)
        # All orders end with the id; of the others it is the request that says how many sort values there are.
        self._sorts: tuple[int, ...] = ()
        if self._has_cursors:
            self._sorts = tuple(self._sort(row_type, i) for i in range(_longest(row_type)))

    def _sort(self, row_type: RowType, index: int) -> int:
        return self.rows.position(f"{self.rows.root.alias}.sort_{index}")

    def _object(
        self,
        type_: GraphQLObjectType,
        nodes: Sequence[FieldNode],
        part: Callable[[GraphQLObjectType, str, Sequence[FieldNode]], Any],
    ) -> tuple[str, list[Any]]:
        """A template of the fields asked for, and what fills it."""
        texts, parts = [], []
        for key, merged in self._compiler.selections.below(type_, nodes).items():
            name = merged[0].name.value
            if name == "__typename":
                texts.append(f'"{key}":"{type_.name}"')
            else:
                texts.append(f'"{key}":%s')
                parts.append(part(type_, name, merged))
        return "{" + ",".join(texts) + "}", parts

    def _part(self, type_: GraphQLObjectType, name: str, nodes: Sequence[FieldNode]) -> Part:
        match name:
            case "nodes":
                return self._nodes(get_named_type(type_.fields[name].type), nodes)
            case "edges":
                return self._edges(get_named_type(type_.fields[name].type), nodes)
            case "pageInfo":
                return self._page_info(get_named_type(type_.fields[name].type), nodes)
            case "totalCount":
                self.has_total = True
                return lambda page, run: integer(page.total)
        raise NotPlanned("field of a connection")

    def _item(self, type_: Any, nodes: Sequence[FieldNode]) -> Write:
        return self.rows.write(self.rows.root, type_.name, nodes)

    def _nodes(self, type_: Any, nodes: Sequence[FieldNode]) -> Part:
        write = self._item(type_, nodes)

        def part(page: _Page, run: Run) -> str:
            if not page.extras:
                return f"[{','.join([write(row, run, None) for row in page.rows])}]"
            return f"[{','.join([write(row, run, x) for row, x in zip(page.rows, page.extras, strict=True)])}]"

        return part

    def _edges(self, type_: Any, nodes: Sequence[FieldNode]) -> Part:
        def field(edge: GraphQLObjectType, name: str, merged: Sequence[FieldNode]) -> Any:
            if name == "node":
                return self._item(get_named_type(edge.fields[name].type), merged)
            self._has_cursors = True
            return None

        template, parts = self._object(type_, nodes, field)

        def part(page: _Page, run: Run) -> str:
            written = []
            for position, row in enumerate(page.rows):
                extra = page.extras[position] if page.extras else None
                texts = [string(page.cursors[position]) if p is None else p(row, run, extra) for p in parts]
                written.append(template % tuple(texts))
            return f"[{','.join(written)}]"

        return part

    def _page_info(self, type_: Any, nodes: Sequence[FieldNode]) -> Part:
        def field(info: GraphQLObjectType, name: str, merged: Sequence[FieldNode]) -> Any:
            match name:
                case "hasNextPage":
                    return lambda page: boolean(_goes_on(page) if page.request.backward else page.has_more)
                case "hasPreviousPage":
                    return lambda page: boolean(page.has_more if page.request.backward else _goes_on(page))
                case "startCursor":
                    self._has_cursors = True
                    return lambda page: string(page.cursors[0]) if page.cursors else NULL
                case "endCursor":
                    self._has_cursors = True
                    return lambda page: string(page.cursors[-1]) if page.cursors else NULL
            raise NotPlanned("field of a page's info")

        template, parts = self._object(type_, nodes, field)
        return lambda page, run: template % tuple([part(page) for part in parts])

    def write(
        self, rows: Sequence[Row], total: int | None, request: PageRequest, run: Run, extras: Sequence[Extras] | None
    ) -> str:
        """The page as JSON text. `rows` has one more where there is more."""
        has_more = len(rows) > request.size
        shown = list(rows[: request.size])
        beside = list(extras[: request.size]) if extras else []
        if request.backward:
            shown.reverse()
            beside.reverse()
        cursors = []
        if self._has_cursors:
            signer, scope = run.context.services.cursors, request.scope
            sorts = self._sorts[: len(request.order.keys)]
            cursors = [Cursor(scope, tuple([row[at] for at in sorts])).sign(signer) for row in shown]
        page = _Page(request, shown, beside, has_more, total, cursors)
        return self._template % tuple([part(page, run) for part in self._parts])

    async def texts(self, run: Run, pages: Sequence[Any], *, is_last: bool = False) -> list[str]:
        """A text per page; those that differ in their parent alone come in one statement."""
        texts = [NULL] * len(pages)
        groups: dict[Any, list[int]] = {}
        for position, page in enumerate(pages):
            groups.setdefault(page.request.identity, []).append(position)
        while groups:
            _, positions = groups.popitem()
            keys = [pages[position].parent_key for position in positions]
            request: PageRequest = pages[positions[0]].request
            has_total_apart = self.has_total and request.parent is not None
            found = await self._fetch(run, request, keys, is_last=is_last and not groups and not has_total_apart)
            totals: Sequence[int | None] = [None] * len(keys)
            if has_total_apart:
                totals = await connections.count(run.context.session, request, keys)
            elif self.has_total:
                totals = [found[0][-1]] * len(keys)
                found = [row for row in found if row[-2] is not None]
            key_at = -3 if self.has_total and not has_total_apart else -1
            extras = await self.rows.extras(run, found) if self.rows.has_resolved else None
            run.pages[self.number] = request
            of_key: dict[Any, list[int]] = {key: [] for key in keys}
            for index, row in enumerate(found):
                of_key[row[key_at] or ROOT].append(index)
            for position, key, total in zip(positions, keys, totals, strict=True):
                rows = [found[index] for index in of_key[key]]
                beside = None if extras is None else [extras[index] for index in of_key[key]]
                texts[position] = self.write(rows, total, request, run, beside)
        return texts

    async def _fetch(self, run: Run, request: PageRequest, keys: Sequence[Any], *, is_last: bool) -> list[Row]:
        """The rows of one page per key; the last column is the key, null where there is no parent. The total of a page
        without a parent stands behind it in every row, after the row's number: a page without rows is one row of
        nulls then."""
        values = request.values()
        if request.parent:
            values["parent_keys"] = list(dict.fromkeys(keys))
        return await self.rows.fetch(run, request.shape, lambda: self._source(request), values, is_last=is_last)

    def _source(self, request: PageRequest) -> Source:
        rows, alias = self.rows, self.rows.root.alias
        page = request.page_text(rows.row_type.select_list("r"))
        if request.parent:
            parents = "unnest(:parent_keys::uuid[]) parent (key)"
            tables = rows.numbered(f"select parent.key, page.* from {parents} cross join lateral ({page}) page")
        else:
            tables = rows.numbered(f"select null::uuid as key, page.* from ({page}) page")
        last = f", {alias}.key"
        if self.has_total and not request.parent:
            tables = f"(select) one left join {tables} on true"
            last += f", {alias}.row_number, ({request.count_text()}) as total"
        return Source(tables, f" order by {alias}.row_number", last)


def _goes_on(page: _Page) -> bool:
    """Whether there is more where the page comes from: there is, or was, when a cursor says so."""
    return page.request.cursor is not None


def _longest(row_type: RowType) -> int:
    return max(len(order.keys) for order in row_type.orders.values())
