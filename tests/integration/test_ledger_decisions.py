"""Whatever is reported, paid and decided, in any order: the books balance, and a rebuild gives the same."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from db.claims import SERVICE
from db.session import Session
from domain.errors import UserError
from domain.ledger.booking import FIGURES
from services import ledger, ledger_decisions
from tests.conftest import Shop
from tests.integration.test_ledger import balances, pay
from tests.ledger import awin, report

STATES = ("pending", "approved", "declined")


class Business:
    """Random reports, payments and decisions about a few sales."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop = shop
        self.random = random.Random(seed)
        self.payments = 0

    async def report(self) -> None:
        state, day = self.random.choice(STATES), self.random.randint(4, 28)
        amount = f"{self.random.randint(0, 9)}.00"
        validated = None if state == "pending" else f"2026-07-{day:02}T00:00:00"
        paid = state == "approved" and self.random.random() < 0.2
        reference = f"A{self.random.randint(1, 4)}"
        await report(self.shop.services, awin(reference, state, commission=amount, validated=validated, paid=paid))

    async def pay(self) -> None:
        self.payments += 1
        due = await self.shop.owner.fetchval("select coalesce(sum(approved_minor), 0)::int from public.conversions")
        amount = self.random.choice((due, due + 50, max(0, due - 50)))
        await pay(
            self.shop, f"{amount / 100:.2f}", reference=f"P{self.payments}", paid_on=f"2026-08-{10 + self.payments}"
        )

    async def adjust(self, session: Session) -> None:
        row = await self.one("select id from public.conversions order by id")
        if row is not None:
            at = datetime(2026, 7, 10, tzinfo=UTC) + timedelta(days=self.random.randint(0, 60))
            await ledger_decisions.adjust(session, row["id"], Decimal(self.random.randint(0, 9)), "agreed", at)

    async def decide(self, session: Session) -> None:
        row = await self.one("select id from public.exceptions order by id")
        if row is not None:
            decide = self.random.choice((ledger_decisions.accept, ledger_decisions.decline))
            await decide(session, row["id"], "decided")

    async def one(self, sql: str) -> asyncpg.Record | None:
        rows = await self.shop.owner.fetch(sql)
        return self.random.choice(rows) if rows else None

    async def step(self) -> None:
        """Something happens; what makes no sense is refused, and changes nothing."""
        what = self.random.choice((self.report, self.report, self.pay, self.adjust, self.adjust, self.decide))
        if what in (self.report, self.pay):
            await what()  # type: ignore[call-arg]
            return
        try:
            async with self.shop.services.database.session(SERVICE, read_only=False) as session:
                await what(session)  # type: ignore[call-arg]
        except UserError:
            pass


@pytest.mark.parametrize("seed", range(4))
async def test_random_business_keeps_the_books_balanced_and_rebuilds_to_the_same(shop: Shop, seed: int) -> None:
    business = Business(shop, seed)
    for _ in range(40):
        await business.step()
    off = "select 1 from public.ledger_entries group by transaction_id, currency having sum(amount_minor) <> 0"
    assert await shop.owner.fetch(off) == []
    assert sum((await balances(shop)).values()) == 0
    assert await shop.owner.fetchval("select count(*) from public.ledger_decisions") > 5

    posted = await shop.owner.fetch(
        "select conversion_id, account, sum(amount_minor)::int as minor from public.ledger_entries group by 1, 2"
    )
    by_account = {(row["conversion_id"], row["account"]): row["minor"] for row in posted}
    for sale in await shop.owner.fetch("select * from public.conversions"):
        for figure, account in FIGURES.items():
            assert sale[f"{figure}_minor"] == by_account.get((sale["id"], account), 0), (sale["reference"], figure)

    async with shop.services.database.session(SERVICE, read_only=False) as session:
        before = await ledger.fingerprint(session)
        await ledger.rebuild(session)
        assert await ledger.fingerprint(session) == before


async def test_a_word_without_a_time_that_an_adjustment_did_not_know_is_an_exception(shop: Shop) -> None:
    """Awin gives pending transactions no time, and may give a decline none: nobody can tell which word is later."""
    await report(shop.services, awin("A1", commission="1.00"))
    sale = await shop.owner.fetchval("select id from public.conversions")
    opened = "select detail from public.exceptions where closed_at is null order by detail"

    async def adjusted(amount: int) -> None:
        async with shop.services.database.session(SERVICE, read_only=False) as session:
            await ledger_decisions.adjust(session, sale, Decimal(amount), "agreed by phone")
        assert await shop.owner.fetch(opened) == [], "it knows what was said before"

    await adjusted(3)
    await report(shop.services, awin("A1", commission="1.00"))
    assert await shop.owner.fetch(opened) == [], "a repeat says nothing new"
    await report(shop.services, awin("A1", commission="2.00", old="1.00"))
    ((detail,),) = await shop.owner.fetch(opened)
    assert detail.startswith("pending with 2.00 GBP was said without a time, and the adjustment of ")
    assert await shop.owner.fetchval("select pending_minor from public.conversions") == 300, "it moves no money"
    await adjusted(2)
    await report(shop.services, {**awin("A1", "declined", commission="2.00"), "validationDate": None})
    details = [row["detail"] for row in await shop.owner.fetch(opened)]
    assert any(detail.startswith("declined with 2.00 GBP was said without a time") for detail in details)
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        assert await ledger.rebuild_and_compare(session) == (1, False)


async def test_decisions_are_only_added(shop: Shop) -> None:
    await report(shop.services, awin("A1"))
    sale = await shop.owner.fetchval("select id from public.conversions")
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger_decisions.adjust(session, sale, Decimal(3), "agreed by phone")
    for statement in (
        "update public.ledger_decisions set reason = 'another'",
        "delete from public.ledger_decisions",
        "truncate public.ledger_decisions cascade",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only added"):
            await shop.owner.execute(statement)


async def test_no_source_but_a_person_adjusts(shop: Shop) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="conversion_reports_adjustment"):
        await shop.owner.execute(
            "insert into public.conversion_reports (affiliate_network, reference, identity, kind, state, advertiser_id,"
            " currency, amount_minor, sale_minor, ordered_at, source)"
            " values ('awin', 'A1', 'x', 'adjustment', 'adjusted', '77', 'GBP', 1, 0, now(), 'postback')"
        )
