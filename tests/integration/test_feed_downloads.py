"""Fetching feeds from servers that fail, are slow, lie, or lead into our own network."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from services import feed_downloads
from services.feed_downloads import DownloadFailed, Limits, Validators, download, is_public
from tests.feed_server import FeedServer, Handler, feed_server, make_certificate

PRIVATE = Limits(max_bytes=1000, seconds=5, is_private_allowed=True)
STRICT = Limits(max_bytes=1000, seconds=5)


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with feed_server() as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "feed"


def test_a_file_is_fetched_with_its_validators(server: FeedServer, target: Path) -> None:
    server.answers["/feed.csv?a=1"] = lambda h: h.answer(200, b"content", etag='"1"', last_modified="yesterday")
    assert download(server.url("/feed.csv?a=1"), target, PRIVATE) == Validators('"1"', "yesterday")
    assert target.read_bytes() == b"content"
    [(_, headers)] = server.requests
    assert "authorization" not in headers
    assert "if-none-match" not in headers


def test_a_file_that_has_not_changed_is_not_fetched(server: FeedServer, target: Path) -> None:
    server.answers["/"] = lambda h: h.answer(304 if h.headers["if-none-match"] == '"1"' else 200)
    assert download(server.url("/"), target, PRIVATE, known=Validators('"1"', "yesterday")) is None
    assert not target.exists()
    assert server.requests[0][1]["if-modified-since"] == "yesterday"


def test_an_unasked_304_is_a_failure(server: FeedServer, target: Path) -> None:
    server.answers["/"] = lambda h: h.answer(304)
    with pytest.raises(DownloadFailed, match="answered 304"):
        download(server.url("/"), target, PRIVATE)


@pytest.mark.parametrize("status", [206, 401, 404, 500, 503])
def test_other_statuses_are_failures(server: FeedServer, target: Path, status: int) -> None:
    server.answers["/"] = lambda h: h.answer(status, b"sorry")
    with pytest.raises(DownloadFailed, match=f"answered {status}"):
        download(server.url("/"), target, PRIVATE)


def test_half_a_file_is_none(server: FeedServer, target: Path) -> None:
    server.answers["/"] = lambda h: h.answer(200, b"half", length=8)
    with pytest.raises(DownloadFailed, match="after 4 of 8 bytes"):
        download(server.url("/"), target, PRIVATE)


def test_half_a_chunked_file_is_none(server: FeedServer, target: Path) -> None:
    def broken(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"4\r\nhalf\r\n")

    server.answers["/"] = broken
    with pytest.raises(DownloadFailed, match="middle of the file"):
        download(server.url("/"), target, PRIVATE)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_file_that_is_too_large_is_refused(server: FeedServer, target: Path, is_told: bool) -> None:
    def large(handler: Handler) -> None:
        handler.send_response(200)
        if is_told:
            handler.send_header("content-length", "2000")
        handler.end_headers()
        handler.wfile.write(b"x" * 2000)

    server.answers["/"] = large
    with pytest.raises(DownloadFailed, match="larger than 1000 bytes"):
        download(server.url("/"), target, PRIVATE)


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_server_that_drips_is_given_up(server: FeedServer, target: Path, part: str) -> None:
    def slow(handler: Handler) -> None:
        if part == "body":
            handler.send_response(200)
            handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"H" if part == "head" else b"x")
            handler.wfile.flush()
            time.sleep(0.1)

    server.answers["/"] = slow
    began = time.monotonic()
    with pytest.raises(DownloadFailed, match="took more than 1 seconds"):
        download(server.url("/"), target, Limits(1000, 1, True))
    assert time.monotonic() - began < 4


def test_a_handshake_that_drips_is_given_up(target: Path) -> None:
    def drip(listener: socket.socket) -> None:
        connected, _ = listener.accept()
        with connected, suppress(OSError):
            connected.sendall(bytes.fromhex("1603034000"))  # the head of a record of TLS of 16 kB
            while True:
                connected.sendall(b"x")
                time.sleep(0.1)

    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dripping = threading.Thread(target=drip, args=[listener])
        dripping.start()
        with pytest.raises(DownloadFailed, match="took more than 1 seconds"):
            download(f"https://127.0.0.1:{listener.getsockname()[1]}/", target, Limits(1000, 1, True))
        dripping.join()
    assert time.monotonic() - began < 8


def test_addresses_that_do_not_answer_take_no_longer_than_the_whole(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf(socket.socket):
        def connect(self, _: Any) -> None:
            time.sleep(self.gettimeout() or 60)
            raise TimeoutError

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", 443))] * 50
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket, "socket", Deaf)
    began = time.monotonic()
    with pytest.raises(DownloadFailed, match="took more than 1 seconds"):
        download("https://shop.example/", target, Limits(1000, 1))
    assert time.monotonic() - began < 8


def test_redirects_are_followed_but_keep_no_secret(server: FeedServer, target: Path) -> None:
    with feed_server() as other:
        other.answers["/b"] = lambda h: h.answer(200, b"content")
        server.answers["/a"] = lambda h: h.answer(302, location="/again")
        server.answers["/again"] = lambda h: h.answer(307, location=other.url("/b"))
        download(server.url("/a"), target, PRIVATE, authorization="Basic secret")
    assert target.read_bytes() == b"content"
    assert [headers.get("authorization") for _, headers in server.requests] == ["Basic secret"] * 2
    assert "authorization" not in other.requests[0][1]


def test_redirects_come_to_an_end(server: FeedServer, target: Path) -> None:
    server.answers["/"] = lambda h: h.answer(302, location="/")
    with pytest.raises(DownloadFailed, match="more than 5 redirects"):
        download(server.url("/"), target, PRIVATE)
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.1/", "only https"),
        ("file:///etc/passwd", "only https"),
        ("ftp://shop.example/", "only https"),
        ("https://127.0.0.2/", "127.0.0.2 is in a private network"),
        ("https://169.254.169.254/latest/meta-data", "169.254.169.254 is in a private network"),
        ("//[::1]/", "::1 is in a private network"),
        ("https://user:secret@shop.example/", "credentials"),
    ],
)
def test_redirects_do_not_lead_inside(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str, reason: str
) -> None:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    # The first server stands for one of the public internet.
    monkeypatch.setattr(feed_downloads, "is_public", lambda a: a == ipaddress.ip_address("127.0.0.1") or is_public(a))
    with feed_server(certificate) as server:
        server.answers["/"] = lambda h: h.answer(302, location=location)
        with pytest.raises(DownloadFailed, match=reason) as failed:
            download(server.url("/"), target, STRICT)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1",
        "192.168.1.1", "100.64.0.1", "169.254.169.254", "224.0.0.1", "255.255.255.255", "[::1]", "[::]",
        "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1]", "[fec0::1]", "[fc00::1]", "[64:ff9b::7f00:1]",
        "[64:ff9b:1::1]", "[2002:7f00:1::]", "[ff02::1]",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_however_they_are_written(target: Path, host: str) -> None:
    with pytest.raises(DownloadFailed, match=r"private network|is not known"):
        download(f"https://{host}/", target, STRICT)


@pytest.mark.parametrize("text", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_public_addresses_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


def test_one_private_address_among_public_ones_is_refused(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 443)) for a in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(DownloadFailed, match=r"shop\.example is in a private network"):
        download("https://shop.example/", target, STRICT)


def test_the_address_that_was_checked_is_the_one_connected_to(
    server: FeedServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/"] = lambda h: h.answer(200, b"content")
    asked: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    download(f"http://shop.example:{server.server_port}/", target, PRIVATE)
    assert asked == ["shop.example"]
    assert server.requests[0][1]["host"] == f"shop.example:{server.server_port}"


@pytest.mark.parametrize("url", ["http://shop.example/", "ftp://shop.example/", "shop.example", "https:///x"])
def test_only_https_is_fetched(target: Path, url: str) -> None:
    with pytest.raises(DownloadFailed):
        download(url, target, STRICT)


def test_a_certificate_must_be_valid(target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path)
    with feed_server(certificate) as server:
        server.answers["/"] = lambda h: h.answer(200, b"content")
        with pytest.raises(DownloadFailed, match="certificate is not valid"):
            download(server.url("/"), target, PRIVATE)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        download(server.url("/"), target, PRIVATE)
    assert target.read_bytes() == b"content"
