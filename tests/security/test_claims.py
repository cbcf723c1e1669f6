"""Claims never leak: however the previous request on a connection ended, the next one has only its own claims."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
import structlog

import db.claims
import db.pipeline
import db.session
from db.claims import ANONYMOUS, Claims
from settings import ClaimsMode, Settings
from tests.conftest import IN_BOTH_CLAIMS_MODES, Shop
from tests.security.crowd import Tally, interleave, people_of, stuck

CONNECTIONS = 64
AT_ONCE = CONNECTIONS + CONNECTIONS // 4  # so that some wait for a connection
REQUESTS = 20_000
STATEMENT_TIMEOUT_MS = 8000


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(
        settings,
        database_pool_size=CONNECTIONS * 3 // 2,  # of which one network has two thirds
        database_max_overflow=0,
        database_pool_timeout=60,
        database_statement_timeout=STATEMENT_TIMEOUT_MS,
        database_slow_query_threshold=60_000,
    )


# graphql-core wraps coroutines in coroutines: cancelled before it began, the outer one drops the inner one.
HANGING_UP = pytest.mark.filterwarnings("ignore:coroutine '.*' was never awaited:RuntimeWarning")


@pytest.mark.long
@HANGING_UP
@pytest.mark.parametrize(
    ("claims_mode", "requests"), [(ClaimsMode.PIPELINED, REQUESTS), (ClaimsMode.TRANSACTION, REQUESTS // 5)]
)
async def test_thousands_of_interleaved_requests_each_see_their_own(shop: Shop, requests: int) -> None:
    people = await people_of(shop)
    pool, tally = shop.services.database.pool, Tally()
    with structlog.testing.capture_logs() as logged:
        async with stuck(shop.owner, people):
            await interleave(people, requests, seed=1, at_once=AT_ONCE, tally=tally, lent=lambda: pool.size - pool.idle)
    assert tally.answered > requests * 0.9
    assert tally.full > tally.answered * 0.9
    assert tally.busiest >= CONNECTIONS
    assert [entry for entry in logged if entry["event"] == "the pool ended a connection"] == []


@IN_BOTH_CLAIMS_MODES
@HANGING_UP
@pytest.mark.parametrize(
    ("anonymous_role", "noticed"),
    [
        ("set local role anon", "ask_without_a_token of .* saw .*, not "),
        # Where nobody had the connection before, the bare log-in asks, and is refused by Postgres.
        ("select", "saw .*, not |INTERNAL_SERVER_ERROR"),
    ],
    ids=["claims", "claims and role"],
)
async def test_a_leak_planted_on_purpose_is_noticed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, anonymous_role: str, noticed: str
) -> None:
    """The same requests, with claims (and role) that outlive their transaction and callers without a token who set
    none: in the messages of their own, and in those in front of a query."""
    people = await people_of(shop)
    proper, begun = db.claims.apply, db.pipeline.begin_prefix

    async def leaky(connection: Any, claims: Claims, statement_timeout_ms: int) -> None:
        if claims is ANONYMOUS:
            await connection.execute(anonymous_role)
        else:
            await proper(connection, claims, statement_timeout_ms)
            await connection.execute(
                "select set_config('request.jwt.claims', $1, false), set_config('role', $2, false)",
                claims.raw,
                claims.role,
            )

    def leaky_messages(claims: Claims, statement_timeout_ms: int, *, read_only: bool) -> bytes:
        if claims is ANONYMOUS:
            return db.pipeline._BEGIN[read_only] + db.pipeline._binds("leaky_anonymous", 0)(b"")
        return begun(claims, statement_timeout_ms, read_only=read_only)

    leaky_apply = db.claims.APPLY.replace("$2, true", "$2, false").replace("'role', $1, true", "'role', $1, false")
    monkeypatch.setattr(db.claims, "apply", leaky)
    monkeypatch.setattr(db.session, "begin_prefix", leaky_messages)
    monkeypatch.setitem(db.pipeline._PREPARED, "aclue_apply", leaky_apply)
    monkeypatch.setitem(db.pipeline._PREPARED, "leaky_anonymous", anonymous_role)
    shop.services.database.pool.renew()
    with pytest.raises(ExceptionGroup) as caught:
        async with stuck(shop.owner, people):
            await interleave(people, 400, seed=2, at_once=AT_ONCE, tally=Tally())
    failures = caught.value.exceptions
    assert all(isinstance(failure, AssertionError) for failure in failures)
    assert any(re.search(noticed, str(failure)) for failure in failures)
