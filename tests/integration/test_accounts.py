"""Accounts of before there was a canonical form of their e-mail."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from db.migrations import SQL_FOLDER
from db.queries import QUERIES
from domain import emails
from tests.bases import Base

MIGRATIONS = [
    (SQL_FOLDER / "migrations" / name).read_text()
    for name in ("20261129110000_accounts.sql", "20261129210000_canonical_emails.sql")
]
UNDO = "alter table auth.users drop column canonical_email; drop table private.reset_requests"
ADD = """
insert into auth.users (id, email, email_confirmed_at, created_at)
values (private.uuid_v7(), $1, case when $2 then now() end, $3::text::timestamptz)
"""
# Of two with one address the confirmed one, else the older one, is the address's.
FORMER = [
    ("anna@people.example", False, None),
    ("\uff41nna@people.example", True, None),
    ("cafe\u0301@people.example", False, None),
    ("caf\u00e9@people.example", True, "caf\u00e9@people.example"),
    ("wei\u00df\u200b@people.example", False, "wei\u00df@people.example"),
    ("gross@people.example", False, None),
    ("gro\u00df@people.example", True, "gro\u00df@people.example"),
    ("\u03bd\u03b9\u03ba\u03bf\u03c2@people.example", True, "\u03bd\u03b9\u03ba\u03bf\u03c3@people.example"),
    ("dan@b\u00fccher.example", True, None),
]


@pytest.mark.usefixtures("own_accounts")
async def test_accounts_of_before_get_the_canonical_form_that_new_ones_have(owner: asyncpg.Connection[Any]) -> None:
    await owner.execute(UNDO)
    for day, (email, is_confirmed, _) in enumerate(FORMER, start=1):
        await owner.execute(ADD, email, is_confirmed, f"2026-01-{day:02}")
    for migration in MIGRATIONS:
        await owner.execute(migration)
    rows = await owner.fetch("select email, canonical_email from auth.users order by created_at")
    assert [tuple(row) for row in rows] == [(email, canonical) for email, _, canonical in FORMER]
    for email, _, canonical in FORMER:
        known = emails.parse(email)
        assert known is not None
        assert canonical in (None, known.canonical)
        found = await owner.fetchval(
            "select email from private.account_of_email($1, $2)", known.canonical, known.spellings
        )
        assert found == email


@pytest.mark.usefixtures("own_accounts")
async def test_an_account_whose_canonical_form_was_folded_further_gets_its_own(owner: asyncpg.Connection[Any]) -> None:
    await owner.execute(
        "insert into auth.users (id, email, canonical_email) values"
        " (private.uuid_v7(), 'gro\u00df@b\u00fccher.example', 'gross@xn--bcher-kva.example')"
    )
    await owner.execute(MIGRATIONS[1])
    assert await owner.fetchval("select canonical_email from auth.users") == "gro\u00df@xn--bcher-kva.example"
    other = emails.parse("gross@b\u00fccher.example")
    assert other is not None
    found = "select count(*) from private.account_of_email($1, $2)"
    assert await owner.fetchval(found, other.canonical, other.spellings) == 0


@pytest.mark.parametrize("is_ours", [True, False], ids=["an account here", "one of another service"])
async def test_the_operator_finds_a_person_by_any_spelling(
    owner: asyncpg.Connection[Any], base: Base, is_ours: bool
) -> None:
    if is_ours and not base.accounts_are_ours:
        pytest.skip("accounts are Supabase's own here")
    address = emails.parse("cafe\u0301@b\u00fccher.example")
    assert address is not None
    if is_ours:
        person = await owner.fetchval(
            "insert into auth.users (id, email) values (private.uuid_v7(), $1) returning id", address.address
        )
    else:
        person = await owner.fetchval(
            "insert into public.profiles (id, email) values (private.uuid_v7(), $1) returning id", address.address
        )
    for local, domain in (("CAF\u00c9", "xn--bcher-kva"), ("cafe\u0301", "b\u00fccher"), ("caf\u00e9", "BU\u0308CHER")):
        typed = f"{local}@{domain}.example"
        known = emails.parse(typed)
        assert known is not None
        for found in (
            await owner.fetchval(QUERIES["exports.person"].sql, None, known.canonical, known.spellings),
            await owner.fetchval(QUERIES["demo.account"].sql, known.canonical, known.spellings),
        ):
            assert found == person, typed
    assert await owner.fetchval(QUERIES["exports.person"].sql, None, None, ()) is None
    assert await owner.fetchval(QUERIES["exports.person"].sql, person, None, ()) == person
