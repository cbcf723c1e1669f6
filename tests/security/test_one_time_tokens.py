"""Tokens from mails: one use, a short life, one purpose, and no word of who has an account."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from domain import ids
from server import create_app
from settings import Settings
from tests.authenticator import ENROL, enrol
from tests.client import Client
from tests.conftest import SECRET, Shop
from tests.http.test_one_time_tokens import ASK, CHANGE, FORGOT, NEW, RESET, VERIFY, is_verified, reset_token
from tests.http.test_second_factors import factors
from tests.http.test_sessions import ANNA, SIGN_IN, goes_on, sign_in
from tests.mailbox import Mailbox, text_of
from tests.security.test_accounts import dump

pytestmark = pytest.mark.usefixtures("own_accounts")

REFUSED = {"code": "INVALID_CREDENTIALS", "field": ["token"]}


@pytest.fixture
async def strict(shop: Shop, settings: Settings) -> AsyncIterator[Client]:
    """A caller without a token of the same service with three attempts of each kind."""
    limited = msgspec.structs.replace(settings, sign_in_attempts=3, mail_attempts=3)
    app = create_app(limited, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
    ):
        yield Client(http)


async def can_sign_in(shop: Shop, password: str) -> bool:
    answer = await shop.client().ask(SIGN_IN, input={**ANNA, "password": password})
    return not answer["signIn"]["userErrors"]


async def test_a_token_works_once(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.account(**ANNA)
    await mailbox.collect(shop.services)
    for token, document, given in (
        (mailbox.token("verify-email"), VERIFY, {}),
        (await reset_token(shop, mailbox), RESET, {"new": NEW}),
    ):
        await anna.do(document, token=token, **given)
        assert await shop.client().refusal(document, token=token, **given) == REFUSED


async def test_of_many_who_use_a_token_at_once_one_succeeds(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    token = await reset_token(shop, mailbox)
    passwords = [f"password of {number}" for number in range(4)]
    answers = await asyncio.gather(*(shop.client().ask(RESET, token=token, new=new) for new in passwords))
    taken = [new for new, answer in zip(passwords, answers, strict=True) if not answer["resetPassword"]["userErrors"]]
    assert [new for new in passwords if await can_sign_in(shop, new)] == taken
    assert len(taken) == 1


async def test_an_expired_token_is_refused(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.account(**ANNA)
    token = await reset_token(shop, mailbox)
    lifetimes = await shop.owner.fetch(
        "select kind, extract(epoch from expires_at - created_at)::int from private.one_time_tokens order by kind"
    )
    assert [tuple(row) for row in lifetimes] == [("reset_password", 3600), ("verify_email", 3 * 24 * 3600)]
    await shop.owner.execute("update private.one_time_tokens set expires_at = now()")
    assert await shop.client().refusal(RESET, token=token, new=NEW) == REFUSED
    assert await shop.client().refusal(VERIFY, token=mailbox.token("verify-email")) == REFUSED
    assert await can_sign_in(shop, ANNA["password"])
    assert not await is_verified(anna)


async def test_a_token_is_good_for_one_purpose(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.account(**ANNA)
    token = await reset_token(shop, mailbox)
    assert await shop.client().refusal(VERIFY, token=token) == REFUSED
    assert await shop.client().refusal(RESET, token=mailbox.token("verify-email"), new=NEW) == REFUSED
    assert await shop.client().refusal(RESET, token=anna.refresh_token, new=NEW) == REFUSED
    assert await shop.client().refusal(RESET, token=anna.token, new=NEW) == REFUSED
    assert not await is_verified(anna)
    await shop.client().do(RESET, token=token, new=NEW)


async def test_a_strangers_request_voids_no_token_and_the_use_of_one_voids_all(shop: Shop, mailbox: Mailbox) -> None:
    for account in (shop.account, shop.verified_account):
        email = f"{account.__name__}@people.example"
        await account(email)
        first, second, third = [await reset_token(shop, mailbox, email) for _ in range(3)]
        await shop.client().do(RESET, token=second, new=NEW)
        for other in (first, third):
            assert await shop.client().refusal(RESET, token=other, new="a thief's own") == REFUSED


async def test_of_many_tokens_of_one_account_used_at_once_one_succeeds(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    tokens = [await reset_token(shop, mailbox) for _ in range(4)]
    answers = await asyncio.gather(*(shop.client().ask(RESET, token=token, new=NEW) for token in tokens))
    assert sorted(bool(answer["resetPassword"]["userErrors"]) for answer in answers) == [False, True, True, True]


async def test_a_changed_password_voids_the_token_of_a_forgotten_one(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.account(**ANNA)
    token = await reset_token(shop, mailbox)
    await anna.do(CHANGE, current=ANNA["password"], new=NEW)
    assert await shop.client().refusal(RESET, token=token, new="another one") == REFUSED
    assert await can_sign_in(shop, NEW)


async def test_a_token_sent_to_a_former_address_is_refused(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.account(**ANNA)
    token = await reset_token(shop, mailbox)
    await shop.owner.execute("update auth.users set email = 'new@people.example'")
    assert await shop.client().refusal(VERIFY, token=mailbox.token("verify-email")) == REFUSED
    assert await shop.client().refusal(RESET, token=token, new=NEW) == REFUSED
    assert not await is_verified(anna)


async def test_a_token_acts_on_its_own_account_only(shop: Shop, mailbox: Mailbox) -> None:
    anna, thief = await shop.account(**ANNA), await shop.account("thief@people.example", "thief's own")
    await mailbox.collect(shop.services)
    await thief.do(ASK)
    await mailbox.collect(shop.services)
    assert (await anna.do(VERIFY, token=mailbox.token("verify-email")))["passwordResetRequired"] is True
    assert not await is_verified(anna)
    confirmed = await shop.owner.fetch("select email from auth.users where email_confirmed_at is not null")
    assert [row["email"] for row in confirmed] == ["thief@people.example"]


async def test_a_new_password_ends_every_session_and_leaves_the_second_factor(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.verified_account(**ANNA)
    app = await enrol(anna)
    await app.show(anna)
    other = await shop.account()
    await shop.client().do(RESET, token=await reset_token(shop, mailbox), new=NEW)
    assert not await goes_on(shop, anna)
    assert await goes_on(shop, other)
    back = await sign_in(shop, password=NEW)
    assert [(f["id"], f["isVerified"]) for f in await factors(back)] == [(app.factor_id, True)]
    assert (await back.refusal(CHANGE, current=NEW, new="another one"))["code"] == "SECOND_FACTOR_REQUIRED"


async def test_asking_for_a_new_password_tells_nobody_who_has_an_account(shop: Shop) -> None:
    await shop.account(**ANNA)
    emails = (ANNA["email"], "nobody@people.example", "nothing", "", "\0", "é" * 300)
    answers = [await shop.client().post(FORGOT, email=email) for email in emails]
    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    assert answers[0].json() == {"data": {"requestPasswordReset": {"userErrors": []}}}


async def test_nothing_is_looked_up_while_somebody_waits_for_the_answer(shop: Shop, mailbox: Mailbox) -> None:
    """So it takes as long for an unknown e-mail as for a known one."""
    await shop.account(**ANNA)
    sent = len(await mailbox.collect(shop.services))
    for email in (ANNA["email"], "nobody@people.example"):
        await shop.client().do(FORGOT, email=email)
    asked = await shop.owner.fetch("select canonical_email from private.reset_requests order by id")
    assert [row["canonical_email"] for row in asked] == [ANNA["email"], "nobody@people.example"]
    assert await shop.owner.fetchval("select count(*) from private.outbox where sent_at is null") == 0
    assert len(await mailbox.collect(shop.services)) == sent + 1
    assert mailbox.subjects(ANNA["email"])[-1] == "Choose a new password"
    assert await shop.owner.fetchval("select count(*) from private.reset_requests") == 0


async def test_a_request_that_was_not_looked_at_in_time_sends_nothing_and_is_forgotten(
    shop: Shop, mailbox: Mailbox
) -> None:
    await shop.account(**ANNA)
    sent = len(await mailbox.collect(shop.services))
    await shop.client().do(FORGOT, email=ANNA["email"])
    await shop.owner.execute("update private.reset_requests set expires_at = now() - interval '1 second'")
    assert len(await mailbox.collect(shop.services)) == sent
    await shop.owner.fetchval("select private.purge_mail('30 days')")
    assert await shop.owner.fetchval("select count(*) from private.reset_requests") == 0


async def test_mails_are_limited_alike_for_known_and_unknown_emails(shop: Shop, strict: Client) -> None:
    await shop.account(**ANNA)
    for email in (ANNA["email"], "nobody@people.example"):
        for spelling in (email, email.upper(), f" {email} "):
            await strict.do(FORGOT, email=spelling)
        assert await strict.code(FORGOT, email=email) == "RATE_LIMITED"
    assert await shop.owner.fetchval("select count(*) from private.reset_requests") == 6


async def test_an_address_asks_for_so_many_mails(shop: Shop, strict: Client) -> None:
    for number in range(30):
        await strict.do(FORGOT, email=f"{number}@people.example")
    assert await strict.code(FORGOT, email="another@people.example") == "RATE_LIMITED"


async def test_sub_addresses_get_the_mails_of_one_mailbox(shop: Shop, mailbox: Mailbox, strict: Client) -> None:
    for number in range(5):
        await strict.sign_up(email=f"anna+{number}@people.example", password="correct horse")
    assert len(await mailbox.collect(shop.services)) == 3


async def test_a_person_asks_for_so_many_mails(shop: Shop, strict: Client) -> None:
    await strict.sign_up(**ANNA)
    for _ in range(3):
        await strict.do(ASK)
    assert await strict.code(ASK) == "RATE_LIMITED"


async def test_guesses_of_the_present_password_are_limited(shop: Shop, strict: Client) -> None:
    await strict.sign_up(**ANNA)
    for _ in range(3):
        assert (await strict.refusal(CHANGE, current="a guess", new=NEW))["code"] == "INVALID_CREDENTIALS"
    assert await strict.code(CHANGE, current=ANNA["password"], new=NEW) == "RATE_LIMITED"


async def test_who_knows_the_password_signs_in_as_often_as_they_like(shop: Shop, strict: Client) -> None:
    await shop.account(**ANNA)
    for _ in range(5):
        await strict.do(SIGN_IN, input=ANNA)
    for _ in range(3):
        await strict.refusal(SIGN_IN, input={**ANNA, "password": "a guess"})
    assert await strict.code(SIGN_IN, input=ANNA) == "RATE_LIMITED"


async def test_guesses_of_tokens_are_limited(shop: Shop, strict: Client) -> None:
    """Each costs a password hash."""
    answers: list[Any] = await asyncio.gather(*(strict.post(RESET, token="x", new=NEW) for _ in range(31)))
    codes = [answer.json()["errors"][0]["extensions"]["code"] for answer in answers if "errors" in answer.json()]
    assert codes == ["RATE_LIMITED"]


async def test_a_dump_of_the_database_holds_no_token_before_or_after_it_was_sent(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    await shop.client().do(FORGOT, email=ANNA["email"])
    before = await dump(shop)
    await mailbox.collect(shop.services)
    after = await dump(shop)
    for token in (mailbox.token("verify-email"), mailbox.token("reset-password")):
        for secret in (token, token.encode().hex()):
            assert secret not in before
            assert secret not in after
    assert before.count(ANNA["email"]) >= 4


# --- an account that somebody made with another's e-mail

PROFILE = """
{ me { id email displayName statedPreferences emailVerifiedAt secondFactors { id }
    swipes { totalCount } giftLinks { totalCount } consents { purpose decidedAt } } }
"""
DRESS_UP = """
mutation {
  updateProfile(input: {displayName: "Anna, honestly", statedPreferences: {colours: ["red"]}}) { userErrors { code } }
}
"""
CONSENT = """
mutation {
  updateConsents(input: {policyVersion: "1", consents: [{purpose: MARKETING, granted: true}]}) { userErrors { code } }
}
"""
GIFT_LINK = "mutation ($id: ID!) { createGiftLink(input: {productId: $id}) { giftLink { url } userErrors { code } } }"
End = Callable[[Shop, Mailbox], Awaitable[None]]


async def by_reset(shop: Shop, mailbox: Mailbox) -> None:
    """The owner of the address chooses a password."""
    await shop.client().do(RESET, token=await reset_token(shop, mailbox), new=NEW)


async def by_link(shop: Shop, mailbox: Mailbox) -> None:
    """The owner of the address follows the link that signing up has sent, then chooses a password."""
    await mailbox.collect(shop.services)
    await shop.client().do(VERIFY, token=mailbox.token("verify-email"))
    await by_reset(shop, mailbox)


taken_over = pytest.mark.parametrize("take_over", [by_reset, by_link])


@taken_over
async def test_nothing_of_a_squatter_is_left_to_the_owner_of_the_address(
    shop: Shop, mailbox: Mailbox, take_over: End
) -> None:
    squatter = await shop.account(**ANNA)
    other = await sign_in(shop)
    product = (await squatter.products(first=1))[0]["id"]
    await squatter.do(DRESS_UP)
    await squatter.do(CONSENT)
    await squatter.swipe(product)
    link = (await squatter.do(GIFT_LINK, id=product))["giftLink"]["url"]
    former = ids.decode_as("Profile", await squatter.my_id())
    # As accounts of before may have them: nobody enrols a factor any more whose e-mail is not verified.
    await shop.owner.execute(
        "insert into auth.mfa_factors (user_id, factor_type, status) values ($1, 'totp', 'verified'),"
        " ($1, 'totp', 'unverified')",
        former,
    )
    await shop.owner.execute("insert into private.recovery_codes (user_id, code_hash) values ($1, sha256('x'))", former)

    await take_over(shop, mailbox)
    anna = await sign_in(shop, password=NEW)
    me = (await anna.ask(PROFILE))["me"]
    assert (me["email"], me["displayName"], me["statedPreferences"]) == (ANNA["email"], None, {})
    assert me["emailVerifiedAt"]
    assert me["secondFactors"] == []
    assert (me["swipes"]["totalCount"], me["giftLinks"]["totalCount"]) == (0, 0)
    assert {consent["decidedAt"] for consent in me["consents"]} == {None}
    assert str(former) not in await dump(shop)
    # The owner's account is whole: a factor of their own, and all that it guards.
    app = await enrol(anna)
    await app.show(anna)
    await anna.do(CHANGE, current=NEW, new="another one")

    assert not await can_sign_in(shop, ANNA["password"])
    for thief in (squatter, other):
        assert not await goes_on(shop, thief)
        assert (await thief.ask("{ me { id } }"))["me"] is None
        assert await thief.code(DRESS_UP) == "UNAUTHENTICATED"
        assert await thief.code(CHANGE, current=NEW, new="a thief's own") == "UNAUTHENTICATED"
        assert await thief.code(ENROL) == "UNAUTHENTICATED"
        assert await thief.code(ASK) == "UNAUTHENTICATED"
    assert (await shop.http.get(urlsplit(link).path)).status_code in (404, 410)
    assert (await anna.ask(PROFILE))["me"]["displayName"] is None


@taken_over
async def test_what_a_squatter_listens_to_ends(shop: Shop, mailbox: Mailbox, take_over: End) -> None:
    squatter = await shop.account(**ANNA)
    session = (await shop.services.tokens.verify(squatter.token or "")).session_id
    ended = asyncio.Event()
    shop.services.database.changes.listen("sessions", str(session), lambda detail: ended.set())
    await take_over(shop, mailbox)
    async with asyncio.timeout(10):
        await ended.wait()


async def test_a_link_opened_by_who_made_the_account_leaves_all_that_is_theirs(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.account(**ANNA)
    other = await sign_in(shop)
    await anna.do(DRESS_UP)
    await mailbox.collect(shop.services)
    await anna.do(VERIFY, token=mailbox.token("verify-email"))
    assert (await other.ask(PROFILE))["me"]["displayName"] == "Anna, honestly"
    assert await is_verified(other)
    assert await can_sign_in(shop, ANNA["password"])


async def test_only_a_live_session_of_the_account_itself_shows_who_made_it(shop: Shop, mailbox: Mailbox) -> None:
    """A token whose session has ended, or that never had one, is no better than none."""

    async def signed_out(anna: Client) -> Client:
        await anna.do("mutation { signOut { signedOut userErrors { code } } }")
        return anna

    async def without_session(anna: Client) -> Client:
        return shop.client(shop.token(ids.decode_as("Profile", await anna.my_id())))

    async def somebody_else(anna: Client) -> Client:
        return await shop.account()

    for caller in (signed_out, without_session, somebody_else):
        email = f"{caller.__name__}@people.example"
        made_by = await caller(await shop.account(email))
        await mailbox.collect(shop.services)
        verify = re.compile(r"verify-email\?token=(\S+)")
        (token,) = [m[1] for mail in mailbox.received if mail["To"] == email and (m := verify.search(text_of(mail)))]
        assert (await made_by.do(VERIFY, token=token))["passwordResetRequired"] is True
        assert (await shop.client().refusal(SIGN_IN, input={**ANNA, "email": email}))["code"] == "INVALID_CREDENTIALS"


async def test_what_the_operator_granted_to_the_address_stays(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    await shop.owner.execute("""update auth.users set raw_app_meta_data = '{"role": "analyst"}'""")
    await by_reset(shop, mailbox)
    anna = await sign_in(shop, password=NEW)
    assert (await shop.services.tokens.verify(anna.token or "")).app_role == "analyst"


async def test_a_verified_account_stays_whole_when_its_password_is_reset(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.verified_account(**ANNA)
    await anna.do(DRESS_UP)
    await by_reset(shop, mailbox)
    back = await sign_in(shop, password=NEW)
    assert (await back.ask(PROFILE))["me"]["displayName"] == "Anna, honestly"
    assert await back.my_id() == await anna.my_id()


@pytest.mark.parametrize("is_verified", [False, True])
@pytest.mark.parametrize(
    ("document", "given"),
    [(SIGN_IN, {"input": ANNA}), (CHANGE, {"current": ANNA["password"], "new": "a thief's own"})],
    ids=["signIn", "changePassword"],
)
async def test_a_password_that_is_reset_while_it_is_checked_opens_nothing(
    shop: Shop,
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
    document: str,
    given: dict[str, Any],
    is_verified: bool,
) -> None:
    """Checking takes a while: a thief's sign-in, or change of password, must not outrun the owner's reset."""
    thief = await (shop.verified_account if is_verified else shop.account)(**ANNA)
    token = await reset_token(shop, mailbox)
    verify = shop.services.passwords.verify

    async def slowly(password_hash: str | None, password: str, address: str) -> str | None:
        found = await verify(password_hash, password, address)
        await shop.client().do(RESET, token=token, new=NEW)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(shop.services.passwords, "verify", slowly)
        assert (await thief.refusal(document, **given))["code"] == "INVALID_CREDENTIALS"
    assert await shop.owner.fetchval("select count(*) from public.user_sessions where revoked_at is null") == 0
    assert not await can_sign_in(shop, "a thief's own")
    assert await can_sign_in(shop, NEW)
