"""Steps: which statement a run sends, and what resolvers add to its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from db.pages import PageRequest
from db.queries import Fragment
from db.rows import Order, RowType
from plan import leaves, steps
from plan.select import FromClause
from plan.steps import RowStep
from plan.values import Leaf
from tests.unit.plans import Aliases, Connection

NEWEST = Order.by("NEWEST", "r.created_at", "timestamptz", descending=True)
PRODUCTS = RowType("Product", "public.products", ("id", "name"), dict)
REVIEWS = RowType("Review", "public.reviews", ("id",), dict)
FIRST = PageRequest(REVIEWS, NEWEST, 2, False, None, Fragment("r.stars > :stars", {"stars": 3}), "r.p_id = parent.key")
ME = UUID(int=7)


@dataclass
class Claims:
    subject: UUID = ME


@dataclass
class Session:
    """Keeps what is sent, and answers with no rows."""

    claims: Claims = field(default_factory=Claims)
    read_only: bool = True
    sent: list[tuple[str, Sequence[Any]]] = field(default_factory=list)
    last: list[str] = field(default_factory=list)

    async def run(self, sql: str, arguments: Sequence[Any]) -> list[Any]:
        self.sent.append((sql, arguments))
        return []

    async def run_last(self, sql: str, arguments: Sequence[Any]) -> list[Any]:
        self.last.append(sql)
        return await self.run(sql, arguments)


@dataclass
class Context:
    session: Session = field(default_factory=Session)


class Run:
    """See plan.values.Run."""

    def __init__(self, *, read_only: bool = True) -> None:
        self.context = Context(Session(read_only=read_only))
        self.info = None
        self.pages: dict[str, Any] = {}


def step_with_page(request: list[PageRequest]) -> RowStep:
    """Products with a page of reviews each: the latest of these requests."""
    aliases = Aliases()
    step, reviews = RowStep(PRODUCTS, aliases), RowStep(REVIEWS, aliases)
    step.nest_page(step.select.root, "id", reviews, lambda run: Connection(request[-1]))
    return step


async def fetched(step: RowStep, run: Any, identity: str = "all", *, is_last: bool = False) -> None:
    source = FromClause("public.products p0", " where p0.name <> :name")
    await step.fetch(run, identity, lambda: source, {"name": "x"}, is_last=is_last)


async def test_values_of_the_source_the_page_and_the_caller_are_arguments() -> None:
    run = Run()
    await fetched(step_with_page([FIRST]), run)
    ((sql, arguments),) = run.context.session.sent
    assert "(r.stars > $1) and (r.p_id = p0.id)" in sql
    assert sql.endswith("where p0.name <> $2")
    assert arguments == [3, "x"]


async def test_a_page_is_described_in_every_run_and_known_by_its_alias() -> None:
    requests = [FIRST]
    step, run = step_with_page(requests), Run()
    await fetched(step, run)
    requests.append(replace(FIRST, where=Fragment("r.stars > :stars", {"stars": 4})))
    await fetched(step, run)
    (first, _), (second, arguments) = run.context.session.sent
    assert first == second  # the same shape: one statement
    assert arguments == [4, "x"]
    assert run.pages["p1"].request == requests[-1]


async def test_another_shape_of_a_page_is_another_statement() -> None:
    requests = [FIRST]
    step, run = step_with_page(requests), Run()
    for request in (FIRST, replace(FIRST, size=5), replace(FIRST, cursor=("2026-01-01", "1")), FIRST):
        requests.append(request)
        await fetched(step, run)
    texts = [sql for sql, _ in run.context.session.sent]
    assert len(set(texts)) == 3
    assert texts[0] == texts[-1]


async def test_statements_are_forgotten_before_they_are_too_many(monkeypatch: Any) -> None:
    monkeypatch.setattr(steps, "MAX_STATEMENTS", 2)
    step, run = RowStep(PRODUCTS, Aliases()), Run()
    for number in range(5):
        await fetched(step, run, f"source {number}")
        assert len(step._statements) <= 2


async def test_the_last_statement_of_a_reading_session_closes_it() -> None:
    reading, writing = Run(), Run(read_only=False)
    for run in (reading, writing):
        await fetched(RowStep(PRODUCTS, Aliases()), run, is_last=True)
    assert len(reading.context.session.last) == 1
    assert not writing.context.session.last


async def test_a_step_with_resolved_fields_is_never_the_last_to_ask() -> None:
    step, run = RowStep(PRODUCTS, Aliases()), Run()
    step.add_resolved(step.select.root, lambda run, value: 1, Leaf(leaves.integer))
    await fetched(step, run, is_last=True)
    assert not run.context.session.last


async def test_resolvers_are_called_with_the_rows_that_are_there() -> None:
    step, run = RowStep(PRODUCTS, Aliases()), Run()
    index = step.add_resolved(step.select.root, lambda run, value: len(value["name"]), Leaf(leaves.integer))
    rows = [["1", "Vase"], [None, None], ["2", "Bowls"]]  # the second has no joined row
    resolved = await step.resolve(run, rows)
    assert resolved is not None
    assert [texts[index] for texts in resolved] == ["4", "null", "5"]


async def test_rows_without_resolved_fields_have_none_resolved() -> None:
    run: Any = Run()
    assert await RowStep(PRODUCTS, Aliases()).resolve(run, [["1", "Vase"]]) is None
