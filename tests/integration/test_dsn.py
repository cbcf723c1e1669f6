"""Connections by URLs as libpq and Prisma write them."""

from __future__ import annotations

import socket
import tempfile

import pytest

import settings as settings_module
from commands.terminal import connected
from db import dsn
from db.claims import ANONYMOUS
from db.database import Database
from db.embedded import Dsns
from tests.conftest import SECRET
from tests.streams import until

PARAMETERS = {
    "channel_binding=require": "aclue",
    "connect_timeout=10": "aclue",
    "keepalives=1": "aclue",
    "keepalives_idle=30": "aclue",
    "keepalives_interval=10": "aclue",
    "keepalives_count=3": "aclue",
    "tcp_user_timeout=10000": "aclue",
    "gssencmode=disable": "aclue",
    "pgbouncer=true": "aclue",
    "connection_limit=5": "aclue",
    "pool_timeout=10": "aclue",
    "schema=public": "aclue",
    "sslsni=1": "aclue",
    "fallback_application_name=x": "x",
    "application_name=x": "x",
    "application_name=x&fallback_application_name=y": "x",
    "target_session_attrs=read-write": "aclue",
    "options=-c%20geqo%3Doff": "aclue",
}
NAME = "select current_setting('application_name')"


def with_parameter(url: str, parameter: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{parameter}"


@pytest.mark.parametrize(("parameter", "name"), PARAMETERS.items())
async def test_the_pool_connects(dsns: Dsns, parameter: str, name: str) -> None:
    url = with_parameter(dsns.api, parameter)
    database = await Database.connect(url, settings_module.load({"DATABASE_URL": url, "JWT_SECRET": SECRET}))
    try:
        async with database.session(ANONYMOUS, read_only=True) as session:
            assert [row[0] for row in await session.run(NAME, [])] == [name]
    finally:
        await database.close()


@pytest.mark.parametrize(("parameter", "name"), PARAMETERS.items())
async def test_commands_connect(dsns: Dsns, parameter: str, name: str) -> None:
    async with connected(with_parameter(dsns.owner or dsns.api, parameter), "MIGRATION_DATABASE_URL") as owner:
        assert await owner.fetchval(NAME) == name


async def test_the_listener_connects(dsns: Dsns) -> None:
    url = with_parameter(dsns.api, "&".join(PARAMETERS))
    settings = settings_module.load({"DATABASE_URL": dsns.api, "LISTEN_DATABASE_URL": url, "JWT_SECRET": SECRET})
    database = await Database.connect(dsns.api, settings)
    database.changes.start()
    try:
        await until(lambda: database.changes.is_connected)
    finally:
        await database.changes.stop()
        await database.close()


async def test_of_several_hosts_one_that_answers_is_taken(dsns: Dsns) -> None:
    """Neither the one that nobody listens at, nor the one that takes connections and says nothing."""
    folder = dsns.api.partition("?host=")[2]
    with tempfile.TemporaryDirectory() as mute, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{mute}/.s.PGSQL.5432")
        listening.listen()
        url = f"{dsns.api.partition('?')[0]}?host=/nowhere,{mute},{folder}&connect_timeout=1"
        url += "&target_session_attrs=read-write"
        for _ in range(2):
            connection = await dsn.connect(url, seconds=1)
            assert await connection.fetchval(NAME) == "aclue"
            await connection.close()
            listening.close()  # the second time nobody waits for it: the last one is tried first


async def test_where_no_host_will_do_connecting_fails(dsns: Dsns) -> None:
    folder = dsns.api.partition("?host=")[2]
    url = f"{dsns.api.partition('?')[0]}?host=/nowhere,{folder}&target_session_attrs=standby"
    with pytest.raises(ConnectionError, match="none of the hosts"):
        await dsn.connect(url, seconds=1)
