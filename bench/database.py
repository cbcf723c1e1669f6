"""The database of the benchmark: an embedded Postgres, seeded once and kept in BENCH_HOME (default: .aclue-bench).

Up to 500 people who read and 500 who write, all with a token. What the writers recorded is taken back after each
window, so that every server finds the same rows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

import settings as settings_module
from bench import peer_functions
from db import embedded, secrets
from db.embedded import Dsns, EmbeddedServer
from services.tokens import Tokens

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("BENCH_HOME") or ROOT / ".aclue-bench").resolve()
SEED = {"users": 10_000, "products": 20_000, "swipes": 500_000}
PEOPLE = 500
TOKEN_LIFETIME = 24 * 3600
WRITTEN = "bench-"  # how the client_swipe_ids of the benchmark begin

# Readers have a page of 50 swipes and more, writers a few dozen; nobody is both.
_PEOPLE = """
with active as (
  select p.id, count(*) as swipes from public.swipes s join public.profiles p on p.id = s.user_id
  where s.undone_at is null and not p.is_anonymous group by p.id)
(select id, true as reads from active where swipes between 60 and 150 order by id limit $1)
union all
(select id, false from active where swipes between 20 and 40 order by id limit $1)
"""


@dataclass(frozen=True, slots=True)
class Person:
    id: UUID
    token: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the servers are asked about, and by whom. `place` of bench_people.people counts the readers, then the
    writers."""

    home: Path
    dsns: Dsns
    secret: str
    readers: list[Person]
    writers: list[Person]
    products: list[UUID]
    categories: list[UUID]
    version: str
    rows: dict[str, int]


@contextmanager
def running(home: Path = HOME, seed: Mapping[str, int] = SEED) -> Iterator[tuple[Dsns, str]]:
    """The log-ins and the secret of tokens, while the database of this folder runs."""
    is_new = not (home / "seeded").exists()
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    environment = {**os.environ, "ACLUE_HOME": str(home), "PYTHONPATH": str(ROOT)}
    options = [text for name, count in seed.items() for text in (f"--{name}", str(count))]
    command = ["seed", *options] if is_new else ["migrate"]
    done = subprocess.run([sys.executable, "-m", "cli", *command], cwd=ROOT, env=environment, check=False)
    if done.returncode:
        sys.exit(f"the database of the benchmark cannot be used; remove {home} to seed it again")
    (home / "seeded").touch()
    home_secrets = secrets.load_or_create(home)
    attached = embedded.running_dsns(home, home_secrets)
    if attached:
        yield attached, home_secrets.jwt
        return
    with EmbeddedServer(home, home_secrets) as dsns:
        yield dsns, home_secrets.jwt


async def prepare(dsns: Dsns, secret: str, home: Path = HOME) -> Prepared:
    """People with tokens, and the functions of the peers."""
    superuser = await asyncpg.connect(dsns.superuser)
    try:
        await peer_functions.create(superuser)
        await restore(superuser)
        found = await superuser.fetch(_PEOPLE, PEOPLE)
        ids = [row["id"] for row in found]
        readers = sum(row["reads"] for row in found)
        if not 0 < readers < len(ids):
            sys.exit(f"no readers, or no writers; remove {home} to seed it again")
        issuer = Tokens(settings_module.load({}), secret)
        issued = [(key, *issuer.issue(key, lifetime=TOKEN_LIFETIME)) for key in ids]
        await superuser.execute(
            "drop schema if exists bench_people cascade; create schema bench_people; "
            "create table bench_people.people (place int primary key, id uuid not null, claims text not null); "
            "grant usage on schema bench_people to authenticated; grant select on bench_people.people to authenticated"
        )
        records = [(place, key, claims.raw) for place, (key, _, claims) in enumerate(issued)]
        await superuser.copy_records_to_table("people", schema_name="bench_people", records=records)
        people = [Person(key, token) for key, token, _ in issued]
        tables = ("products", "profiles", "swipes", "product_signals", "recommendations")
        return Prepared(
            home=home,
            dsns=dsns,
            secret=secret,
            readers=people[:readers],
            writers=people[readers:],
            products=[
                r[0]
                for r in await superuser.fetch("select id from public.products where is_active order by id limit 500")
            ],
            categories=[r[0] for r in await superuser.fetch(_LEAVES)],
            version=await superuser.fetchval("show server_version"),
            rows={t: await superuser.fetchval(f"select count(*) from public.{t}") for t in tables},
        )
    finally:
        await superuser.close()


# Of a leaf, "its products" and "products of it and all below it" are the same.
_LEAVES = """
select c.id from public.categories c join public.products p on p.category_id = c.id and p.is_active
where not exists (select from public.categories below where below.parent_id = c.id)
group by c.id having count(*) >= 20 order by c.id limit 10
"""


# The signals of these people that went with the swipes taken back.
SIGNALS = """
insert into public.product_signals (user_id, product_id, swipe_id, direction, preference_strength, swiped_at)
select distinct on (user_id, product_id) user_id, product_id, id, direction, preference_strength, created_at
from public.swipes where user_id = any ($1) and undone_at is null
order by user_id, product_id, created_at desc, id desc
on conflict do nothing
"""


async def take_back(dsns: Dsns) -> None:
    """`restore` on a connection of its own."""
    superuser = await asyncpg.connect(dsns.superuser)
    try:
        await restore(superuser)
    finally:
        await superuser.close()


async def restore(superuser: asyncpg.Connection[Any]) -> None:
    """Takes back what the writers recorded."""
    written = f"delete from public.swipes where client_swipe_id like '{WRITTEN}%' returning user_id"
    users = {row["user_id"] for row in await superuser.fetch(written)}
    if users:
        await superuser.execute(SIGNALS, users)
        for table in ("swipes", "product_signals"):
            await superuser.execute(f"vacuum (analyze) public.{table}")
