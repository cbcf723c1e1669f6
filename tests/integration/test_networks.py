"""The API's log-in over a network, as asyncpg opens it by default: it asks for TLS, and goes on without where there is
none."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from db.claims import Claims
from db.database import Database
from db.embedded import Dsns
from settings import Settings

SOMEBODY = Claims("authenticated", UUID(int=1), raw=f'{{"role":"authenticated","sub":"{UUID(int=1)}"}}')
WHO = "select auth.uid(), current_user::text"


def certificate(folder: Path) -> ssl.SSLContext:
    """What a server of TLS needs, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "postgres")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "pem").write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pem")
    return context


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65_536):
            writer.write(part)
            await writer.drain()
    writer.close()


@pytest.fixture(params=["TLS", "no TLS"])
async def url(request: pytest.FixtureRequest, dsns: Dsns, tmp_path: Path) -> AsyncIterator[str]:
    """The API's log-in by way of a port of its own, in front of the test's Postgres."""
    parts = urlsplit(dsns.api)
    (folder,) = parse_qs(parts.query)["host"]
    context = certificate(tmp_path) if request.param == "TLS" else None

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # whether there is TLS
        writer.write(b"S" if context else b"N")
        if context:
            await writer.start_tls(context)
        behind, to_behind = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{parts.port or 5432}")
        await asyncio.gather(copy(reader, to_behind), copy(behind, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}"
    server.close()


async def test_requests_are_answered_over_a_network(url: str, settings: Settings) -> None:
    database = await Database.connect(url, settings)
    for number in range(3):
        async with database.session(SOMEBODY, read_only=True) as session:
            assert [tuple(row) for row in await session.run_last(WHO, [])] == [(UUID(int=1), "authenticated")]
        async with database.session(SOMEBODY, read_only=True) as session:
            await session.run("select 1", [])
            assert (await session.run_last("select $1::int", [number]))[0][0] == number
    await database.close()
