"""Plans for rows of a source: by key, or by a condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from db.rows import RowType
from db.sources import Listing, Reference
from plan import leaves
from plan.renderers import RowRenderer, render_rows
from plan.select import FromClause
from plan.steps import RowStep
from plan.values import Run

if TYPE_CHECKING:
    from graphql import FieldNode

    from plan.compiler import Compiler


class RowPlan:
    """The plan for rows of a source as one GraphQL type."""

    def __init__(self, compiler: Compiler, row_type: RowType, nodes: Sequence[FieldNode]) -> None:
        self._step = RowStep(row_type, compiler.new_alias)
        self._render_row = RowRenderer(compiler, self._step).compile(self._step.select.root, row_type.name, nodes)

    async def render_references(self, run: Run, references: Sequence[Reference[Any]], *, is_last: bool) -> list[str]:
        """A text per reference, all by one column; null where there is no such row. Raises as Value.render does."""
        select, by, first = self._step.select, references[0].by, references[0].key
        root = select.root
        position = select.column(root, by)
        is_one = len(references) == 1
        kind = "text" if isinstance(first, str) else "uuid"

        aliases = root.row_type.aliases if by == "id" else None

        def source() -> FromClause:
            condition = f"= :key::{kind}" if is_one else f"= any(:keys::{kind}[])"
            if aliases is not None:
                tables = f"({aliases}) known join {root.row_type.table} {root.alias} on {root.column('id')} = known.id"
                return FromClause(tables, f" where known.alias {condition}", {"alias_of_row": "known.alias"})
            where = f" where {root.column(by)} {condition}{root.owner_condition}"
            return FromClause(f"{root.row_type.table} {root.alias}", where)

        values = {"key": first} if is_one else {"keys": list({each.key: None for each in references})}
        rows = await self._step.fetch(run, (by, kind, is_one), source, values, is_last=is_last)
        rendered = render_rows(self._render_row, rows, run, await self._step.resolve(run, rows))
        if is_one:
            return rendered or [leaves.NULL]
        of_key = position if aliases is None else "alias_of_row"
        by_key = {row[of_key]: text for row, text in zip(rows, rendered, strict=True)}
        return [by_key.get(each.key, leaves.NULL) for each in references]

    async def render_listing(self, run: Run, listing: Listing[Any], *, is_last: bool) -> list[str]:
        """A text per row of a listing. Raises as Value.render does."""
        select, row_type = self._step.select, self._step.row_type

        def source() -> FromClause:
            inner = (
                f"select {row_type.select_list('r')} from {row_type.table} r"
                f" where {listing.where} order by {listing.order_by} limit :size::int"
            )
            return FromClause(select.numbered(inner), f" order by {select.root.column('row_number')}")

        identity = (listing.where, listing.order_by)
        rows = await self._step.fetch(run, identity, source, {"size": listing.size}, is_last=is_last)
        return render_rows(self._render_row, rows, run, await self._step.resolve(run, rows))
