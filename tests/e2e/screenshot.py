"""Takes the README's picture of GraphiQL, from a server with the demo catalogue: `python -m tests.e2e.screenshot`.

It needs Chromium, and GraphiQL built (`make web`).
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from urllib.parse import urlencode

import httpx

from tests.e2e.browser import Page, browser
from tests.e2e.conftest import HANGS, ROOT, data_folder, served
from tests.e2e.test_browsers import ANSWER, BUTTON, RUN, STATUS

PICTURE = ROOT / "docs/images/graphiql.png"
WIDTH, HEIGHT = 1280, 760
QUERY = """\
query Recommendations($first: Int) {
  recommendations(first: $first) {
    nodes {
      product {
        name
        price {
          amount
          currencyCode
        }
      }
      score
      reasons {
        text
        weight
      }
    }
  }
}
"""
QUIZ = """\
mutation ($input: SubmitQuizInput!) { submitQuiz(input: $input) { userErrors { message } } }
"""
# Curious and creative, and none of the other three: the person of the README's tour.
ANSWERS = {"adv-1": 2, "adv-2": 5, "int-1": 5, "pra-1": 2, "cre-1": 5, "cre-4": 1, "soc-1": 2, "soc-2": 5}
TOKEN = "Object.values(localStorage).join().match(/Bearer (eyJ[\\w.-]+)/)?.[1]"


async def take() -> None:
    with data_folder() as home, served(home) as service, tempfile.TemporaryDirectory() as profile:
        async with browser(Path(profile)) as page:
            await page.call(
                "Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False
            )
            await page.open(
                f"{service.url}/graphql?{urlencode({'query': QUERY, 'variables': json.dumps({'first': 3})})}"
            )
            await page.until(f"{RUN} && {BUTTON} && !{BUTTON}.disabled")
            await page.value(f"{BUTTON}.click()")
            await page.until(STATUS)
            await answer_quiz(service.url, await page.until(TOKEN))
            await ask(page)
            PICTURE.write_bytes(await page.picture())
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size:,} bytes")


async def answer_quiz(url: str, token: str) -> None:
    """As the session that GraphiQL uses."""
    answers = [{"questionId": question, "value": value} for question, value in ANSWERS.items()]
    async with httpx.AsyncClient(timeout=HANGS, headers={"authorization": f"Bearer {token}"}) as http:
        body = {
            "query": QUIZ,
            "variables": {"input": {"version": "2.0", "answers": answers, "completionTimeSeconds": 60}},
        }
        answer = (await http.post(f"{url}/graphql", json=body)).json()
    assert answer == {"data": {"submitQuiz": {"userErrors": []}}}, answer


async def ask(page: Page) -> None:
    await page.value(f"{RUN}.click()")
    await page.until(f"({ANSWER} || '').includes('Suits your curious side')")
    await page.until("!document.querySelector('.graphiql-spinner')")


if __name__ == "__main__":
    asyncio.run(take())
