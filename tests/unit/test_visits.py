"""Which requests for a link count as a person, by the headers that browsers really send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.callers import Caller
from domain.visits import visit

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
)
NAVIGATION = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "sec-fetch-dest": "document",
    "sec-fetch-mode": "navigate",
    "sec-fetch-site": "cross-site",
    "sec-fetch-user": "?1",
    "upgrade-insecure-requests": "1",
}
AHEAD = {
    "chrome, speculation rules, prefetch": {"sec-purpose": "prefetch", "sec-speculation-tags": "null"},
    "chrome, speculation rules, prerender": {"sec-purpose": "prefetch;prerender", "purpose": "prefetch"},
    "chrome, private prefetch proxy": {"sec-purpose": "prefetch;anonymous-client-ip", "purpose": "prefetch"},
    "chrome, address bar": {"purpose": "prefetch", "sec-purpose": "prefetch;prerender"},
    "chrome, link rel=prefetch": {"sec-purpose": "prefetch", "sec-fetch-dest": "empty", "sec-fetch-mode": "no-cors"},
    "firefox, link rel=prefetch": {"x-moz": "prefetch", "sec-purpose": "prefetch"},
    "firefox, earlier": {"x-moz": "prefetch"},
    "safari, top sites": {"x-purpose": "preview"},
    "safari, link rel=prefetch": {"purpose": "prefetch"},
}


def raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def why(method: str = "GET", agent: str | None = CHROME, **headers: str) -> str | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return visit(Caller("192.0.2.1", agent), method, raw(NAVIGATION | named)).uncounted


def test_a_browser_that_navigates_counts() -> None:
    assert why() is None
    assert why(agent=None) is None


@pytest.mark.parametrize("headers", AHEAD.values(), ids=AHEAD)
def test_what_a_browser_fetches_ahead_does_not(headers: dict[str, str]) -> None:
    assert visit(Caller("", CHROME), "GET", raw(NAVIGATION | headers)).uncounted == "prefetch"


def test_neither_do_head_bots_and_scripts() -> None:
    assert why("HEAD") == "head"
    assert why(agent="Twitterbot/1.0") == "bot"
    assert why(agent="curl/8.5.0") == "script"


def test_only_people_and_their_scripts_get_tracking_ids() -> None:
    given = {
        "HEAD": visit(Caller("", CHROME), "HEAD", ()),
        "prefetch": visit(Caller("", CHROME), "GET", raw({"x-moz": "prefetch"})),
        "bot": visit(Caller("", "Twitterbot/1.0"), "GET", ()),
        "script": visit(Caller("", "curl/8.5.0"), "GET", ()),
        "person": visit(Caller("", CHROME), "GET", ()),
    }
    assert {name for name, one in given.items() if one.gets_tracking_ids} == {"script", "person"}


NAMES = st.sampled_from([b"sec-purpose", b"purpose", b"x-purpose", b"x-moz", b"accept", b"sec-gpc", b"x"])


@given(st.text(), st.lists(st.tuples(NAMES, st.binary())), st.sampled_from(["GET", "HEAD", "POST"]))
def test_any_headers_have_an_answer(agent: str, headers: list[tuple[bytes, bytes]], method: str) -> None:
    uncounted = visit(Caller("", agent), method, headers).uncounted
    assert (uncounted == "head") == (method == "HEAD")
    marked = [value for name, value in headers if name not in (b"accept", b"sec-gpc", b"x")]
    if not any(word in value.lower() for value in marked for word in (b"prefetch", b"prerender", b"preview")):
        assert uncounted != "prefetch"
