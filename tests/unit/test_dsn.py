"""What the parameters of a URL of Postgres mean."""

from __future__ import annotations

import socket

import pytest

import settings as settings_module
from db.dsn import for_libpq, parse
from settings import ClaimsMode, SettingsError

URL = "postgresql://anna:p%40ss@db.example:5432,other.example/shop"


def test_what_asyncpg_understands_stays_as_it_was_written() -> None:
    query = "?sslmode=verify-full&options=-c%20geqo%3Doff&target_session_attrs=read-write"
    assert parse(URL + query).url == URL + query
    assert parse(URL).url == URL


@pytest.mark.parametrize(
    "parameter",
    [
        "channel_binding=require",
        "connect_timeout=10",
        "keepalives=1",
        "keepalives_idle=30",
        "keepalives_interval=10",
        "keepalives_count=3",
        "tcp_user_timeout=1000",
        "gssencmode=disable",
        "application_name=x",
        "fallback_application_name=x",
        "pgbouncer=true",
        "connection_limit=5",
        "pool_timeout=10",
        "schema=public",
        "gssdelegation=0",
        "load_balance_hosts=disable",
        "sslcompression=0",
        "sslsni=1",
    ],
)
def test_what_it_does_not_is_taken_away(parameter: str) -> None:
    assert parse(f"{URL}?{parameter}").url == URL
    assert parse(f"{URL}?sslmode=require&{parameter}&options=x").url == f"{URL}?sslmode=require&options=x"


def test_keepalives_are_options_of_the_socket() -> None:
    options = parse(f"{URL}?keepalives=1&keepalives_idle=30&keepalives_count=3&tcp_user_timeout=9000").socket_options
    assert set(options) == {
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 9000),
    }
    assert parse(f"{URL}?keepalives=0&keepalives_idle=30").socket_options == ()
    assert parse(URL).socket_options == ()


def test_names_and_limits() -> None:
    assert parse(f"{URL}?application_name=a%20b&fallback_application_name=c").application_name == "a b"
    assert parse(f"{URL}?fallback_application_name=c").application_name == "c"
    assert parse(f"{URL}?connect_timeout=10").connect_timeout == 10
    assert parse(f"{URL}?connect_timeout=0").connect_timeout is None
    assert parse(f"{URL}?channel_binding=require").warning
    assert parse(f"{URL}?channel_binding=prefer").warning is None


@pytest.mark.parametrize(
    "parameter",
    [
        "connect_timeout=soon",
        "keepalives_idle=-1",
        "gssencmode=require",
        "channel_binding=x",
        "pgbouncer=yes",
        "schema=shop",
    ],
)
@pytest.mark.parametrize("variable", ["DATABASE_URL", "MIGRATION_DATABASE_URL", "LISTEN_DATABASE_URL"])
def test_values_that_cannot_be_used_are_named(parameter: str, variable: str) -> None:
    given = {"DATABASE_URL": URL} | {variable: f"{URL}?{parameter}"}
    with pytest.raises(SettingsError, match=f"{variable}: {parameter}"):
        settings_module.load(given)


def test_pgbouncer_means_no_prepared_statements() -> None:
    loaded = settings_module.load({"DATABASE_URL": f"{URL}?pgbouncer=true"})
    assert (loaded.prepared_statements, loaded.claims_mode) == (False, ClaimsMode.TRANSACTION)


def test_connection_limit_bounds_the_pool_unless_variables_do() -> None:
    url = f"{URL}?connection_limit=5"
    loaded = settings_module.load({"DATABASE_URL": url})
    assert (loaded.database_pool_size, loaded.database_max_overflow) == (5, 0)
    loaded = settings_module.load({"DATABASE_URL": url, "DATABASE_POOL_SIZE": "7"})
    assert loaded.database_pool_size == 7


def test_pool_timeout_bounds_the_wait_for_a_connection_unless_a_variable_does() -> None:
    url = f"{URL}?pool_timeout=7"
    assert settings_module.load({"DATABASE_URL": url}).database_pool_timeout == 7
    assert settings_module.load({"DATABASE_URL": url, "DATABASE_POOL_TIMEOUT": "9"}).database_pool_timeout == 9
    assert settings_module.load({"DATABASE_URL": f"{URL}?pool_timeout=0"}).database_pool_timeout == 30


def test_psql_is_given_what_libpq_knows() -> None:
    assert (
        for_libpq(f"{URL}?pgbouncer=true&connect_timeout=10&connection_limit=5&schema=public")
        == f"{URL}?connect_timeout=10"
    )


def test_each_of_several_hosts_is_tried_alone() -> None:
    assert parse(f"{URL}?target_session_attrs=read-write").hosts == (
        "postgresql://anna:p%40ss@db.example:5432/shop?target_session_attrs=read-write",
        "postgresql://anna:p%40ss@other.example/shop?target_session_attrs=read-write",
    )
    assert parse("postgresql://anna@/shop?host=/one,/two&port=1,2&sslmode=disable").hosts == (
        "postgresql://anna@/shop?sslmode=disable&host=/one&port=1",
        "postgresql://anna@/shop?sslmode=disable&host=/two&port=2",
    )
    assert parse("postgresql://anna@/shop?host=/one,/two").hosts == (
        "postgresql://anna@/shop?host=/one",
        "postgresql://anna@/shop?host=/two",
    )


def test_hosts_that_are_compared_are_left_to_asyncpg() -> None:
    assert parse(f"{URL}?target_session_attrs=prefer-standby").hosts == ()
    assert parse("postgresql://anna@db.example/shop").hosts == ()
    assert parse("postgresql://anna@/shop?host=/one").hosts == ()
