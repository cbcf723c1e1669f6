"""Jobs that delete: in small transactions, so that each ends in time however much there is to do."""

from __future__ import annotations

import pytest

from services import housekeeping
from tests.conftest import Shop

EXPIRED = 5
KEYS = """
insert into public.idempotency_keys (user_id, operation, key, request_hash, result_id, created_at)
select p.id, 'recordSwipe', 'key ' || n, '\\x00', private.uuid_v7(), now() - interval '2 days'
from generate_series(1, $1) n cross join public.profiles p
"""
COUNTED = """
create table private.deletions (rows bigint);
create function private.count_deletion() returns trigger language plpgsql security definer as $$
begin
  insert into private.deletions select count(*) from gone having count(*) > 0;
  return null;
end
$$;
create trigger counted after delete on {table} referencing old table as gone
  for each statement execute function private.count_deletion();
"""
MAILS = """
insert into private.outbox (id, user_id, recipient, template, expires_at, next_attempt_at)
select private.uuid_v7_floor(now() - make_interval(days => 40, secs => n)), p.id, 'anna@example.org', 'verify_email',
  now() - interval '39 days', null
from generate_series(1, $1) n cross join public.profiles p
"""


async def test_old_keys_are_deleted_in_batches(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "PURGE_BATCH", 2)
    await shop.anonymous()
    await shop.owner.execute(KEYS, EXPIRED)
    await shop.owner.execute(COUNTED.format(table="public.idempotency_keys"))
    assert await housekeeping.purge_keys(shop.services) == EXPIRED
    assert [row["rows"] for row in await shop.owner.fetch("select rows from private.deletions")] == [2, 2, 1]
    assert await shop.owner.fetchval("select count(*) from public.idempotency_keys") == 0


async def test_so_are_old_mails(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "PURGE_BATCH", 2)
    await shop.anonymous()
    await shop.owner.execute(MAILS, EXPIRED)
    await shop.owner.execute(COUNTED.format(table="private.outbox"))
    assert await housekeeping.purge_mails(shop.services) == EXPIRED
    assert [row["rows"] for row in await shop.owner.fetch("select rows from private.deletions")] == [2, 2, 1]
    assert await shop.owner.fetchval("select count(*) from private.outbox") == 0
