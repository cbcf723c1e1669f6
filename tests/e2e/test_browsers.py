"""What only a browser shows: GraphiQL at work, with nothing from elsewhere, and pages of other origins."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.e2e.browser import Page, browser
from tests.e2e.conftest import HANGS, ROOT, Service, demo_folder, served

BUNDLE = "web/dist/graphiql.js"
BUTTON = "[...document.querySelectorAll('button')].find((button) => button.textContent === 'Use a demo session')"
RUN = "document.querySelector('.graphiql-execute-button')"
STATUS = "document.querySelector('.demo-session [role=status]').textContent"
ANSWER = "document.querySelector('.graphiql-response')?.innerText.replaceAll('\\u00a0', ' ')"
CROSS = """
fetch(%r, {
  method: 'POST',
  headers: {
    'content-type': 'application/json', authorization: 'Bearer none', 'x-aclue-receipt': '1',
    'apollographql-client-name': 'shop', 'apollographql-client-version': '1', 'apollo-require-preflight': 'true',
  },
  body: '{"query": "{ __typename }"}',
}).then(
  async (answer) => [answer.status, answer.headers.get('x-request-id').length, await answer.json()],
  (problem) => [problem.message],
)
"""


@pytest.fixture
def built(tmp_path_factory: pytest.TempPathFactory) -> None:
    """GraphiQL, which is built by one worker at a time."""
    with (tmp_path_factory.getbasetemp().parent / "graphiql.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(
            ["make", BUNDLE], cwd=ROOT, capture_output=True, text=True, timeout=10 * HANGS, check=True
        )
    if not (ROOT / BUNDLE).exists():
        if os.environ.get("CI"):
            pytest.fail(made.stdout + made.stderr)
        pytest.skip(f"GraphiQL was not tried: {made.stdout}")


@pytest.fixture
def explorable(built: None) -> Iterator[Service]:
    """A server that has it."""
    with demo_folder() as folder, served(folder) as running:
        yield running


async def test_graphiql_answers_and_loads_nothing_from_elsewhere(explorable: Service, tmp_path: Path) -> None:
    async with browser(tmp_path) as page:
        await page.open(f"{explorable.url}/graphql")
        await page.until(f"{RUN} && {BUTTON} && !{BUTTON}.disabled")
        await page.value(f"{BUTTON}.click()")
        assert "Token in Headers" in await page.until(STATUS)
        await page.value(f"{RUN}.click()")
        assert '"data"' in await page.until(f"({ANSWER} || '').includes('nodes') && {ANSWER}")
        (tmp_path / "graphiql.png").write_bytes(await page.picture())  # for people to look at
    assert {address(url) for url in page.requests if not url.startswith(("data:", "blob:"))} == {explorable.url}
    assert page.complaints == []


QUERY = "query Linked($n: Int) { products(first: $n) { nodes { name } } }"
EDITORS = (
    "[...document.querySelectorAll('.view-lines')].map((each) => each.innerText.replaceAll('\\u00a0', ' ')).join()"
)
TABS = "document.querySelectorAll('.graphiql-tab').length"


async def test_a_link_fills_graphiql_in_under_a_prefix_too(built: None, home: Path, tmp_path: Path) -> None:
    with served(home, PUBLIC_URL="https://api.example/gifts") as service:
        async with browser(tmp_path) as page:
            link = f"{service.url}/gifts/graphql?{urlencode({'query': QUERY, 'variables': json.dumps({'n': 1})})}"
            await page.open(link)
            await page.until(f"{EDITORS}.includes('query Linked') && {EDITORS}.includes('\"n\"')")
            await page.until(f"{RUN} && !{RUN}.disabled")
            await page.value(f"{RUN}.click()")
            await page.until(f"({ANSWER} || '').includes('nodes')")
            tabs = await page.value(TABS)
            await page.open(link)
            await page.until(f"{RUN} && {EDITORS}.includes('query Linked') && {EDITORS}.includes('\"n\"')")
            assert await page.value(TABS) == tabs  # the tab that has it, not another one
            (tmp_path / "linked.png").write_bytes(await page.picture())  # for people to look at
    loaded = [url for url in page.requests if not url.startswith(("data:", "blob:"))]
    assert [url for url in loaded if not url.startswith(f"{service.url}/gifts/")] == []
    assert page.complaints == []


def address(url: str) -> str:
    """The server it leads to."""
    return "/".join(url.split("/")[:3])


async def test_a_page_of_an_allowed_origin_asks_and_reads(service: Service, tmp_path: Path) -> None:
    """Development lets pages of localhost in; 127.0.0.1 is another origin."""
    async with browser(tmp_path) as page:
        await page.open(f"http://localhost:{service.port}/livez")
        status, length, body = await asked(page, service)
    assert (status, length) == (401, 16)
    assert body["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_page_of_another_origin_reads_nothing(service: Service, tmp_path: Path) -> None:
    async with browser(tmp_path) as page:
        await page.open("data:text/html,elsewhere")
        assert await asked(page, service) == ["Failed to fetch"]


async def asked(page: Page, service: Service) -> list[Any]:
    found: list[Any] = await page.value(CROSS % f"{service.url}/graphql")
    return found
