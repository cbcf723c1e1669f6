"""Answers that are saved before the quiz is submitted."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.client import QUIZ_ITEMS, Client
from tests.conftest import Shop

SAVE = """
mutation ($input: SaveQuizAnswersInput!) {
  saveQuizAnswers(input: $input) {
    progress { version answers { questionId value } updatedAt }
    userErrors { code message field }
  }
}
"""
PROGRESS = "{ me { quizProgress { version answers { questionId value } updatedAt } } }"
MERGE = "mutation ($token: String!) { mergeSession(input: {refreshToken: $token}) { userErrors { code } } }"


async def save(client: Client, **answers: int) -> dict[str, Any]:
    given = [{"questionId": code.replace("_", "-"), "value": value} for code, value in answers.items()]
    saved: dict[str, Any] = (await client.do(SAVE, input={"version": "2.0", "answers": given}))["progress"]
    return saved


async def progress(client: Client) -> dict[str, int] | None:
    found = (await client.ask(PROGRESS))["me"]["quizProgress"]
    return found and {answer["questionId"]: answer["value"] for answer in found["answers"]}


async def test_answers_are_kept_and_the_last_one_of_a_question_counts(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    assert await progress(anna) is None
    await save(anna, adv_1=2, int_1=5)
    saved = await save(anna, adv_1=4, soc_1=1)
    assert saved == (await anna.ask(PROGRESS))["me"]["quizProgress"]
    assert await progress(anna) == {"adv-1": 4, "int-1": 5, "soc-1": 1}
    assert await progress(ben) is None


async def test_answers_saved_at_once_are_all_kept(shop: Shop) -> None:
    anna = await shop.anonymous()
    await asyncio.gather(*(save(anna, **{item.code.replace("-", "_"): 3}) for item in QUIZ_ITEMS))
    assert await progress(anna) == {item.code: 3 for item in QUIZ_ITEMS}


async def test_submitting_ends_the_draft(shop: Shop) -> None:
    anna = await shop.anonymous()
    await save(anna, adv_1=2)
    await anna.take_quiz({"adv"})
    assert await progress(anna) is None
    assert await shop.owner.fetchval("select count(*) from public.quiz_drafts") == 0


async def test_a_draft_of_another_version_is_replaced(shop: Shop) -> None:
    anna = await shop.anonymous()
    await save(anna, adv_1=2, int_1=2)
    await shop.owner.execute("update public.quiz_drafts set version = '1.0'")
    assert (await anna.ask(PROGRESS))["me"]["quizProgress"]["version"] == "1.0"
    await save(anna, soc_1=5)
    assert await progress(anna) == {"soc-1": 5}


async def test_the_quiz_is_continued_on_another_device_after_signing_in(shop: Shop) -> None:
    phone, account = await shop.anonymous(), await shop.account()
    await save(phone, adv_1=1, int_1=1)
    await save(account, adv_1=2, soc_1=2)
    await save(phone, soc_1=3)
    await account.do(MERGE, token=phone.refresh_token)
    assert await progress(account) == {"adv-1": 2, "int-1": 1, "soc-1": 3}, "of each question the later answer"


async def test_a_draft_moves_to_an_account_without_one(shop: Shop) -> None:
    phone, account = await shop.anonymous(), await shop.account()
    await save(phone, adv_1=1)
    await account.do(MERGE, token=phone.refresh_token)
    assert await progress(account) == {"adv-1": 1}


async def test_of_two_versions_the_one_saved_last_is_kept(shop: Shop) -> None:
    for newer in ("phone", "account"):
        phone, account = await shop.anonymous(), await shop.account()
        first, last = (account, phone) if newer == "phone" else (phone, account)
        await save(first, adv_1=1)
        await shop.owner.execute("update public.quiz_drafts set version = '1.0' where answers ->> 'adv-1' = '1'")
        await save(last, int_1=5)
        await account.do(MERGE, token=phone.refresh_token)
        assert await progress(account) == {"int-1": 5}


async def test_answers_that_cannot_be_saved(shop: Shop) -> None:
    anna = await shop.anonymous()
    one = [{"questionId": "adv-1", "value": 1}]
    table: list[tuple[str, list[dict[str, Any]], str, list[str]]] = [
        ("1.0", one, "STALE", ["version"]),
        ("2.0", [], "INVALID", ["answers"]),
        ("2.0", one * 2, "INVALID", ["answers", "1", "questionId"]),
        ("2.0", [{"questionId": "\0", "value": 1}], "INVALID", ["answers", "0", "questionId"]),
        ("2.0", [{"questionId": "adv-1", "value": 9}], "INVALID", ["answers", "0", "value"]),
    ]
    for version, answers, code, field in table:
        refused = await anna.refusal(SAVE, input={"version": version, "answers": answers})
        assert (refused["code"], refused["field"]) == (code, field)
    assert await progress(anna) is None
    assert await shop.client().code(SAVE, input={"version": "2.0", "answers": one}) == "UNAUTHENTICATED"
