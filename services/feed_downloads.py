"""Requests over HTTPS to servers that are not ours: fetches feeds, asks for the status of pages, and calls APIs.

A URL may lead anywhere, so each host, also of redirects, is resolved once: every address of it must be public, and the
connection goes to an address that was checked, which a second look-up could not change (DNS rebinding).
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

import idna

from db import tracing

MAX_REDIRECTS = 5
CONNECT_SECONDS = 15.0
READ_SECONDS = 60.0  # without a single byte
CHUNK_BYTES = 1 << 18
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_REDIRECTS = (301, 302, 303, 307, 308)


class DownloadFailed(Exception):
    """The message says why, without the URL's path and query, which may hold a secret."""


class ConnectionFailed(DownloadFailed):
    """No answer came, or not the whole of it: the same request may succeed later."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of an API; the names of `headers` are in lower case. `is_framed`: the server said how long the
    body is, so that a body that was cut off would have been noticed."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_framed: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """`is_private_allowed`: also http, and addresses of private networks; for development."""

    max_bytes: int
    seconds: float
    is_private_allowed: bool = False


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server said of a file, to ask whether it has changed: ETag and Last-Modified."""

    etag: str | None = None
    last_modified: str | None = None


def is_public(address: Address) -> bool:
    """Whether an address is of the public internet; of an IPv6 address that carries an IPv4 one, both."""
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _NAT64):
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)) and address in _NAT64[0]
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        carried = address.sixtofour or (address.teredo[1] if address.teredo else None)
        if carried is not None and not is_public(carried):
            return False
        if address.is_site_local:  # fec0::/10, which is_global has forgotten
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def download(
    url: str, target: Path, limits: Limits, *, authorization: str | None = None, known: Validators = Validators()
) -> Validators | None:
    """Writes the file at this URL to `target`; blocks. Returns what to ask with next time; None: it has not changed.

    `authorization` is sent to the URL's own origin only. Raises DownloadFailed.
    """
    deadline = time.monotonic() + limits.seconds
    with _failures_explained(limits, deadline):
        parts = _checked(url, limits)
        origin = parts[:2]
        for _ in range(MAX_REDIRECTS + 1):
            headers = _headers(authorization if parts[:2] == origin else None, known)
            with _Exchange(parts, limits, deadline) as exchange:
                response = exchange.send(headers)
                if response.status not in _REDIRECTS:
                    return _receive(exchange, response, target, limits, known)
                location = response.getheader("location")
            if not location:
                raise DownloadFailed(f"{parts.hostname} redirects to nowhere")
            parts = _checked(urljoin(urlunsplit(parts), location), limits)
        raise DownloadFailed(f"more than {MAX_REDIRECTS} redirects")


def status_of(url: str, method: str, limits: Limits, *, user_agent: str, may_follow: Callable[[str], bool]) -> int:
    """The status with which a server answers a HEAD or GET; blocks, and reads no body. A redirect to a host that
    `may_follow` refuses is not followed, and its own status counts. Raises DownloadFailed."""
    headers = {"accept": "*/*", "user-agent": user_agent, "connection": "close"}
    deadline = time.monotonic() + limits.seconds
    with _failures_explained(limits, deadline):
        parts = _checked(url, limits)
        for _ in range(MAX_REDIRECTS + 1):
            with _Exchange(parts, limits, deadline) as exchange:
                response = exchange.send(headers, method)
                status, location = response.status, response.getheader("location")
            if status not in _REDIRECTS or not location:
                return status
            parts = _checked(urljoin(urlunsplit(parts), location), limits)
            if not may_follow(parts.hostname or ""):
                return status
        raise DownloadFailed(f"more than {MAX_REDIRECTS} redirects")


def request(
    url: str, limits: Limits, *, headers: dict[str, str], method: str = "GET", body: bytes | None = None
) -> Answer:
    """The answer to a request that may carry credentials, whatever its status; blocks. A redirect is an answer like any
    other: credentials go nowhere else. Raises DownloadFailed."""
    deadline = time.monotonic() + limits.seconds
    sent = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "aclue", "connection": "close", **headers}
    with _failures_explained(limits, deadline), _Exchange(_checked(url, limits), limits, deadline) as exchange:
        response = exchange.send(sent, method, body)
        chunks: list[bytes] = []
        is_framed = response.length is not None or bool(response.chunked)
        _read(exchange, response, limits, chunks.append)
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, b"".join(chunks), is_framed)


@contextlib.contextmanager
def _failures_explained(limits: Limits, deadline: float) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        if time.monotonic() >= deadline:
            raise ConnectionFailed(f"it took more than {limits.seconds:.0f} seconds") from None
        if isinstance(error, ssl.SSLCertVerificationError):
            raise DownloadFailed(f"the certificate is not valid: {error.verify_message}") from None
        if isinstance(error, http.client.IncompleteRead):
            raise ConnectionFailed("the connection ended in the middle of the file") from None
        if isinstance(error, TimeoutError):
            raise ConnectionFailed("the server does not answer") from None
        raise ConnectionFailed(f"the connection failed: {type(error).__name__}") from None


def _headers(authorization: str | None, known: Validators) -> dict[str, str]:
    headers = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "aclue", "connection": "close"}
    if authorization is not None:
        headers["authorization"] = authorization
    if known.etag is not None:
        headers["if-none-match"] = known.etag
    if known.last_modified is not None:
        headers["if-modified-since"] = known.last_modified
    return headers


def _checked(url: str, limits: Limits) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise DownloadFailed("the URL is malformed") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and limits.is_private_allowed):
        raise DownloadFailed(f"{parts.scheme or 'a URL without a scheme'} is refused: only https is fetched")
    if not parts.hostname or parts.username is not None or port == 0 or not url.isprintable() or " " in url:
        raise DownloadFailed("the URL is malformed, or has credentials")
    return parts._replace(fragment="")


class _Exchange:
    """One request and its response. When time is up, the socket is closed under whatever waits for it."""

    def __init__(self, parts: SplitResult, limits: Limits, deadline: float) -> None:
        self._parts = parts
        self._limits = limits
        self._deadline = deadline
        self._host = _ascii(parts.hostname or "")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(f"[{self._host}]" if ":" in self._host else self._host, parts.port)
        self._connection.response_class = self._make_response  # type: ignore[assignment]
        self._response: http.client.HTTPResponse | None = None
        self._socket: socket.socket | None = None  # the connection gives up its own once the response has begun
        self._timer = threading.Timer(max(deadline - time.monotonic(), 0), self._time_is_up)
        self._timer.daemon = True

    def __enter__(self) -> _Exchange:
        return self

    @property
    def is_over(self) -> bool:
        """Whether the time is up: an end of the file is none then."""
        return time.monotonic() >= self._deadline

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._connection.close()
        if self._response is not None:
            self._response.close()
        if self._socket is not None:
            self._socket.close()

    def send(self, headers: dict[str, str], method: str = "GET", body: bytes | None = None) -> http.client.HTTPResponse:
        """Sends the request; returns the response without its body."""
        parts, host = self._parts, self._host
        is_secure = parts.scheme == "https"
        connected = _connect(host, parts.port or (443 if is_secure else 80), self._limits, self._deadline)
        self._socket = connected
        self._timer.start()
        if is_secure:
            # Its handshake is one of the waits that the timer ends.
            secure = ssl.create_default_context().wrap_socket(
                connected, server_hostname=host, do_handshake_on_connect=False
            )
            self._socket = secure
            secure.do_handshake()
        self._socket.settimeout(READ_SECONDS)
        self._connection.sock = self._socket
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        self._connection.request(method, target, body=body, headers=tracing.outgoing(headers))
        return self._connection.getresponse()

    def _make_response(self, sock: socket.socket, **options: Any) -> http.client.HTTPResponse:
        """Keeps the response: http.client does not close it if its head fails."""
        self._response = http.client.HTTPResponse(sock, **options)
        return self._response

    def _time_is_up(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)


def _ascii(host: str) -> str:
    try:
        ipaddress.ip_address(host)
        return host
    except ValueError:
        pass
    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        raise DownloadFailed("the host's name is not valid") from None


def _connect(host: str, port: int, limits: Limits, deadline: float) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise ConnectionFailed(f"{host} is not known") from None
    for _, _, _, _, address in found:
        if not limits.is_private_allowed and not is_public(ipaddress.ip_address(str(address[0]).partition("%")[0])):
            raise DownloadFailed(f"{host} is in a private network")
    for family, kind, protocol, _, address in found:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(min(CONNECT_SECONDS, left))
            sock.connect(address)
            return sock
        except OSError:
            sock.close()
    raise ConnectionFailed(f"{host} cannot be reached")


def _receive(
    exchange: _Exchange, response: http.client.HTTPResponse, target: Path, limits: Limits, known: Validators
) -> Validators | None:
    if response.status == 304 and known != Validators():
        return None
    if response.status != 200:
        raise DownloadFailed(f"the server answered {response.status}")
    if (encoding := response.getheader("content-encoding", "identity")) not in ("identity", "gzip", "x-gzip"):
        raise DownloadFailed(f"the content is encoded as {encoding[:40]!r}, which was not asked for")
    with target.open("wb") as file:
        _read(exchange, response, limits, file.write)
    return Validators(response.getheader("etag"), response.getheader("last-modified"))


def _read(
    exchange: _Exchange, response: http.client.HTTPResponse, limits: Limits, keep: Callable[[bytes], object]
) -> None:
    length = response.length  # None: chunked, or to the end of the connection
    too_large = DownloadFailed(f"the file is larger than {limits.max_bytes} bytes")
    if length is not None and length > limits.max_bytes:
        raise too_large
    received = 0
    while chunk := response.read(CHUNK_BYTES):
        received += len(chunk)
        if received > limits.max_bytes:
            raise too_large
        keep(chunk)
    if exchange.is_over:
        raise TimeoutError
    if length is not None and received < length:
        raise ConnectionFailed(f"the connection ended after {received} of {length} bytes")
