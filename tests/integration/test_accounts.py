"""Accounts of before there was a canonical form of their e-mail."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from db.migrations import SQL_FOLDER
from domain import emails

MIGRATION = (SQL_FOLDER / "migrations" / "20261129110000_accounts.sql").read_text()
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
    ("wei\u00df\u200b@people.example", False, "weiss@people.example"),
    ("dan@b\u00fccher.example", True, None),
]


@pytest.mark.usefixtures("own_accounts")
async def test_accounts_of_before_get_the_canonical_form_that_new_ones_have(owner: asyncpg.Connection[Any]) -> None:
    await owner.execute(UNDO)
    for day, (email, is_confirmed, _) in enumerate(FORMER, start=1):
        await owner.execute(ADD, email, is_confirmed, f"2026-01-{day:02}")
    await owner.execute(MIGRATION)
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
