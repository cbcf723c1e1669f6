"""The quiz in every language, and the question to ask next."""

from __future__ import annotations

from typing import Any

from db import instrument_files
from db.instruments import SHIPPED
from tests.client import QUIZ, Client
from tests.conftest import Shop

NEXT = """
query ($version: String! = "2.0", $answers: [QuizAnswer!]! = [], $locale: String! = "en") {
  nextQuestion(version: $version, answers: $answers, locale: $locale) { id text isInShortForm options { value label } }
}
"""


async def test_the_quiz_says_what_its_file_says(shop: Shop) -> None:
    document = instrument_files.load(SHIPPED)
    quiz = (await shop.client().ask(QUIZ))["quiz"]
    assert (quiz["version"], quiz["locale"]) == (document.instrument.version, "en")
    assert [(q["id"], q["text"]) for q in quiz["questions"]] == list(document.texts["en"].items.items())
    for question in quiz["questions"]:
        assert [option["value"] for option in question["options"]] == [1, 2, 3, 4, 5]
        assert question["options"][0]["label"] == "Not at all like me"


async def test_the_quiz_in_another_language_where_it_is_worded(shop: Shop) -> None:
    german = instrument_files.load(SHIPPED).texts["de"].items
    query = 'query ($locale: String! = "en") { quiz(locale: $locale) { locale questions { id text } } }'
    for asked, spoken in (("de", "de"), ("de-AT", "de"), ("fr", "en"), ("", "en"), ("\0", "en"), ("x" * 999, "en")):
        quiz = (await shop.client().ask(query, locale=asked))["quiz"]
        assert quiz["locale"] == spoken, asked
        assert (quiz["questions"][0]["text"] == german[quiz["questions"][0]["id"]]) is (spoken == "de")


async def test_a_change_of_the_tables_shows_at_once(shop: Shop) -> None:
    """Processes keep the quiz in memory, by its revision."""
    client = shop.client()
    before = (await client.ask(QUIZ))["quiz"]
    await shop.owner.execute(
        "update public.quiz_texts set text = 'New: ' || text where locale = 'en' and code = 'adv-1'"
    )
    after = (await client.ask(QUIZ))["quiz"]
    assert after["questions"][0]["text"] == "New: " + before["questions"][0]["text"]
    await shop.owner.execute("update public.quiz_versions set is_current = false")
    assert await client.code(QUIZ) == "UNAVAILABLE"


async def test_a_quiz_without_norms_is_not_served(shop: Shop) -> None:
    await shop.owner.execute("delete from private.quiz_norms")
    assert await shop.client().code(QUIZ) == "UNAVAILABLE"


async def test_a_quiz_with_norms_of_other_questions_is_not_served(shop: Shop) -> None:
    await shop.owner.execute("update private.quiz_norms set item_means = '[3]' where form = 'full'")
    assert await shop.client().code(QUIZ) == "UNAVAILABLE"


async def test_the_next_question_until_all_are_answered(shop: Shop) -> None:
    client = shop.client()
    known = {q["id"]: q for q in (await client.ask(QUIZ))["quiz"]["questions"]}
    given: list[dict[str, Any]] = []
    while (found := (await client.ask(NEXT, answers=given))["nextQuestion"]) is not None:
        assert found["id"] not in {answer["questionId"] for answer in given}
        assert (found["text"], found["options"]) == (known[found["id"]]["text"], known[found["id"]]["options"])
        given.append({"questionId": found["id"], "value": 4})
    assert len(given) == len(known)
    assert len({answer["questionId"][:3] for answer in given[:5]}) == 5, "one of each trait first"
    german = (await client.ask(NEXT, locale="de"))["nextQuestion"]
    assert german["options"][0]["label"] == "Passt gar nicht zu mir"


async def test_what_has_no_next_question(shop: Shop) -> None:
    client: Client = shop.client()
    assert await client.code(NEXT, version="1.0") == "STALE"
    for answers in (
        [{"questionId": "adv-1", "value": 6}],
        [{"questionId": "adv-99", "value": 1}],
        [{"questionId": "adv-1", "value": 1}] * 2,
    ):
        assert await client.code(NEXT, answers=answers) == "BAD_USER_INPUT"
