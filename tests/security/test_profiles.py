"""What somebody did, in numbers: the function of the documents, by its name."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.security.canaries import ADMIN, ANALYST, ANNA, BEN, NOBODY, SERVICE, VISITOR, Caller, become, person_id

ANNAS = {
    "swipes": 1, "likes": 1, "super_likes": 0, "views": 1, "affiliate_clicks": 1, "conversions": 1, "sessions": 1
}  # fmt: skip
NOTHING = dict.fromkeys(ANNAS, 0)


@pytest.fixture
async def asking(canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]) -> asyncpg.Connection[Any]:
    """The API's log-in, where every click has earned something."""
    await canaries.execute("update public.affiliate_clicks set actual_commission_minor = 5")
    return login


async def summary(login: asyncpg.Connection[Any], caller: Caller, *arguments: Any) -> dict[str, int]:
    async with login.transaction():
        await become(login, caller)
        places = ", ".join(f"${i}" for i in range(1, len(arguments) + 1))
        row = await login.fetchrow(f"select * from public.get_user_analytics_summary({places})", *arguments)
    assert row is not None
    return dict(row)


@pytest.mark.parametrize("caller", [ANNA, VISITOR], ids=lambda caller: caller.label)
async def test_the_caller_is_counted_named_or_not(asking: asyncpg.Connection[Any], caller: Caller) -> None:
    assert await summary(asking, caller) == ANNAS
    assert await summary(asking, caller, person_id(caller.person or "")) == ANNAS


@pytest.mark.parametrize("caller", [NOBODY, VISITOR, BEN, ANALYST, ADMIN], ids=lambda caller: caller.label)
async def test_of_somebody_else_nothing_is_counted(asking: asyncpg.Connection[Any], caller: Caller) -> None:
    assert await summary(asking, caller, person_id("anna")) == NOTHING


async def test_service_role_counts_anybody(asking: asyncpg.Connection[Any]) -> None:
    assert await summary(asking, SERVICE, person_id("anna")) == ANNAS
    assert await summary(asking, SERVICE) == NOTHING


async def test_what_was_before_a_moment_is_left_out(asking: asyncpg.Connection[Any]) -> None:
    later = await asking.fetchval("select now() + interval '1 hour'")
    assert await summary(asking, ANNA, person_id("anna"), later) == NOTHING
