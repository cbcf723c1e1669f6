"""Translates Postgres URLs of libpq and Prisma for asyncpg, which sends unknown parameters to the server, which then
refuses the connection."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus, urlencode, urlsplit

import asyncpg

from db.failures import LOST

HOST_SECONDS = 5.0  # to connect to one of several hosts; connect_timeout replaces it
CHANNEL_BINDING = "channel_binding=require is ignored: no channel binding here; set sslmode=verify-full"
_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "connection_limit",
    "pool_timeout",
)
_WORDS = {
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer"),
    "gssdelegation": ("0",),
    "load_balance_hosts": ("disable",),
    "pgbouncer": ("true", "false"),
    "schema": ("public",),
    "sslcompression": ("0",),
    "sslsni": ("1",),
}
_NAMES = ("application_name", "fallback_application_name")
_PRISMA = ("pgbouncer", "connection_limit", "pool_timeout", "schema")
_TCP_OPTIONS = {  # not all are available on every system
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}


@dataclass(frozen=True, slots=True)
class Dsn:
    """A parsed URL. `url` is the part for asyncpg, and `hosts` the same for each of several hosts alone, in their
    order; `connect_timeout`, `connection_limit` and `pool_timeout` (seconds) are None if not given; `socket_options`
    are arguments of setsockopt."""

    url: str
    hosts: tuple[str, ...]
    application_name: str | None
    connect_timeout: int | None
    connection_limit: int | None
    pool_timeout: int | None
    prepared_statements: bool
    socket_options: tuple[tuple[int, int, int], ...]
    warning: str | None


def parse(url: str) -> Dsn:
    """Parses a URL. Raises ValueError, which names the parameter, for an invalid value."""
    rest, given = _split(url, (*_NUMBERS, *_WORDS, *_NAMES))
    numbers = {name: _number(name, given[name]) for name in _NUMBERS if name in given}
    for name, words in _WORDS.items():
        if name in given and given[name] not in words:
            raise ValueError(f"{name}={given[name]} cannot be used, only {', '.join(words)}")
    return Dsn(
        url=rest,
        hosts=_hosts(rest),
        application_name=given.get("application_name") or given.get("fallback_application_name"),
        connect_timeout=numbers.get("connect_timeout") or None,  # 0: no limit
        connection_limit=numbers.get("connection_limit") or None,
        pool_timeout=numbers.get("pool_timeout") or None,
        prepared_statements=given.get("pgbouncer") != "true",
        socket_options=_socket_options(numbers),
        warning=CHANNEL_BINDING if given.get("channel_binding") == "require" else None,
    )


def for_libpq(url: str) -> str:
    """The URL without parameters that only Prisma knows."""
    return _split(url, _PRISMA)[0]


async def connect(
    url: str, *, seconds: float, application_name: str = "aclue", settings: dict[str, str] | None = None, **options: Any
) -> Any:
    """asyncpg.connect for a libpq URL, whose own timeout and application name take precedence. Of several hosts, the
    first is taken that answers and has its target_session_attrs, beginning with the one that was taken last. Raises
    ConnectionError if there is none."""
    dsn = parse(url)
    if not dsn.prepared_statements:
        options["statement_cache_size"] = 0
    options["server_settings"] = {**(settings or {}), "application_name": dsn.application_name or application_name}
    if len(dsn.hosts) > 1:
        timeout = dsn.connect_timeout or min(seconds, HOST_SECONDS)
        connection = await _connect_to_one_of(dsn.hosts, timeout=timeout, **options)
    else:
        connection = await asyncpg.connect(dsn.url, timeout=dsn.connect_timeout or seconds, **options)
    its_socket = connection._transport.get_extra_info("socket")  # noqa: SLF001  asyncpg has no public name for it
    if its_socket is not None and its_socket.family in (socket.AF_INET, socket.AF_INET6):
        for option in dsn.socket_options:
            its_socket.setsockopt(*option)
    return connection


_taken: dict[tuple[str, ...], str] = {}  # which of several hosts was, so that nobody waits for a dead one again


async def _connect_to_one_of(hosts: tuple[str, ...], **options: Any) -> Any:
    """asyncpg has one timeout for all hosts, which the first would use up if it does not answer."""
    problem: BaseException | None = None
    for host in sorted(hosts, key=lambda host: host != _taken.get(hosts)):
        try:
            connection = await asyncpg.connect(host, **options)
        except (*LOST, asyncpg.TargetServerAttributeNotMatched) as error:
            problem = error
        else:
            _taken[hosts] = host
            return connection
    raise ConnectionError("none of the hosts can be used") from problem


def _hosts(url: str) -> tuple[str, ...]:
    """The URL for each of its hosts alone; none if it has only one, or if they are to be compared with each other, as
    target_session_attrs=prefer-standby says."""
    rest, given = _split(url, ("host", "port"))
    if _split(url, ("target_session_attrs",))[1].get("target_session_attrs") == "prefer-standby":
        return ()
    parts = urlsplit(url)
    people, at, hosts = parts.netloc.rpartition("@")
    if "," in hosts:
        return tuple(parts._replace(netloc=f"{people}{at}{host}").geturl() for host in hosts.split(","))
    names = given.get("host", "").split(",")
    if hosts or len(names) == 1:
        return ()
    ports = given.get("port", "").split(",")
    ports = ports if len(ports) == len(names) else ports[:1] * len(names)
    mark = "&" if "?" in rest else "?"
    return tuple(
        f"{rest}{mark}{urlencode({'host': name, **({'port': port} if port else {})}, safe='/')}"
        for name, port in zip(names, ports, strict=True)
    )


def _split(url: str, names: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """The URL without these parameters, and their values; the last one of repeated parameters."""
    base, _, query = url.partition("?")
    left, found = [], {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if unquote_plus(name) in names:
            found[unquote_plus(name)] = unquote_plus(value)
        elif part:
            left.append(part)
    return (f"{base}?{'&'.join(left)}" if left else base), found


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError(f"{name}={text} is not a whole number")
    return int(text)


def _socket_options(numbers: dict[str, int]) -> tuple[tuple[int, int, int], ...]:
    """Zero means the system's default; `keepalives=0` disables keep-alives."""
    is_kept_alive = numbers.get("keepalives", 1) != 0
    found = []
    if is_kept_alive and any(name.startswith("keepalives") for name in numbers):
        found.append((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
    for name, option in _TCP_OPTIONS.items():
        applies = is_kept_alive or not name.startswith("keepalives")
        if applies and numbers.get(name) and hasattr(socket, option):
            found.append((socket.IPPROTO_TCP, getattr(socket, option), numbers[name]))
    return tuple(found)
