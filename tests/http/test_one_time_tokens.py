"""What comes by mail: choosing a new password, and showing that an e-mail is one's own."""

from __future__ import annotations

import asyncpg

from tests.client import Client
from tests.conftest import Shop
from tests.http.test_second_factors import claims
from tests.http.test_sessions import ANNA, REFRESH, SIGN_IN, goes_on, refreshed, sign_in
from tests.mailbox import Mailbox, text_of

FORGOT = "mutation ($email: String!) { requestPasswordReset(input: {email: $email}) { userErrors { code field } } }"
RESET = """
mutation ($token: String!, $new: String!) {
  resetPassword(input: {token: $token, newPassword: $new}) { userErrors { code field } }
}
"""
ASK = "mutation { requestEmailVerification { userErrors { code field } } }"
VERIFY = """
mutation ($token: String!) { verifyEmail(input: {token: $token}) { passwordResetRequired userErrors { code field } } }
"""
CHANGE = """
mutation ($current: String!, $new: String!) {
  changePassword(input: {currentPassword: $current, newPassword: $new}) { profile { email } userErrors { code field } }
}
"""
VERIFIED = "{ me { emailVerifiedAt } }"
NEW = "battery staple"


async def is_verified(client: Client) -> bool:
    return (await client.ask(VERIFIED))["me"]["emailVerifiedAt"] is not None


async def reset_token(shop: Shop, mailbox: Mailbox, email: str = ANNA["email"]) -> str:
    await shop.client().do(FORGOT, email=email)
    await mailbox.collect(shop.services)
    return mailbox.token("reset-password")


async def test_an_email_is_verified_by_the_token_that_signing_up_sends(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.account(**ANNA)
    (mail,) = await mailbox.collect(shop.services)
    assert (mail["To"], mail["Subject"]) == (ANNA["email"], "Is this your e-mail address?")
    assert not await is_verified(anna)
    verified = await anna.do(VERIFY, token=mailbox.token("verify-email"))
    assert verified["passwordResetRequired"] is False
    assert await is_verified(anna)
    assert await goes_on(shop, anna)


async def test_a_link_opened_where_nobody_is_signed_in_verifies_an_empty_account(shop: Shop, mailbox: Mailbox) -> None:
    """Its owner chooses a password next; a mail for that which was asked for before still works."""
    former = await (await shop.account(**ANNA)).my_id()
    token = await reset_token(shop, mailbox)
    verified = await shop.client().do(VERIFY, token=mailbox.token("verify-email"))
    assert verified["passwordResetRequired"] is True
    assert (await shop.client().refusal(SIGN_IN, input=ANNA))["code"] == "INVALID_CREDENTIALS"
    await shop.client().do(RESET, token=token, new=NEW)
    anna = await sign_in(shop, password=NEW)
    assert await is_verified(anna)
    assert await anna.my_id() != former


async def test_access_tokens_say_whether_the_email_is_verified(shop: Shop, mailbox: Mailbox) -> None:
    visitor, anna = await shop.anonymous(), await shop.account(**ANNA)
    assert [claims(client)["email_verified"] for client in (visitor, anna)] == [False, False]
    await mailbox.collect(shop.services)
    await anna.do(VERIFY, token=mailbox.token("verify-email"))
    pair = await refreshed(shop, anna.refresh_token)
    assert claims(shop.client(pair["accessToken"]))["email_verified"] is True
    assert claims(await sign_in(shop))["email_verified"] is True


async def test_another_mail_can_be_asked_for_until_the_email_is_verified(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.account(**ANNA)
    await mailbox.collect(shop.services)
    first = mailbox.token("verify-email")
    await anna.do(ASK)
    assert len(await mailbox.collect(shop.services)) == 2
    await anna.do(VERIFY, token=first)
    assert (await anna.refusal(VERIFY, token=mailbox.token("verify-email")))["code"] == "INVALID_CREDENTIALS"
    assert (await anna.refusal(ASK))["code"] == "CONFLICT"
    assert await is_verified(anna)


async def test_only_accounts_have_an_email_to_verify(shop: Shop) -> None:
    assert await shop.client().code(ASK) == "UNAUTHENTICATED"
    assert await (await shop.anonymous()).code(ASK) == "FORBIDDEN"


async def test_a_forgotten_password_is_replaced_by_the_token_of_a_mail(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.verified_account(**ANNA)
    token = await reset_token(shop, mailbox, f" {ANNA['email'].upper()} ")
    await shop.client().do(RESET, token=token, new=NEW)
    assert (await shop.client().refusal(SIGN_IN, input=ANNA))["code"] == "INVALID_CREDENTIALS"
    back = await sign_in(shop, password=NEW)
    assert await back.my_id() == await anna.my_id()
    assert not await goes_on(shop, anna)


async def test_a_new_password_verifies_the_email(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    await shop.client().do(RESET, token=await reset_token(shop, mailbox), new=NEW)
    assert await is_verified(await sign_in(shop, password=NEW))


async def test_the_link_leads_to_the_app_and_is_in_plain_text(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    token = await reset_token(shop, mailbox)
    mail = mailbox.received[-1]
    assert mail.get_content_type() == "text/plain"
    assert f"\nhttp://127.0.0.1:8000/reset-password?token={token}\n" in text_of(mail)
    assert ANNA["email"] in text_of(mail)


async def test_a_password_that_cannot_be_does_not_use_up_the_token(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    token = await reset_token(shop, mailbox)
    for wrong in ("short", "x" * 1025):
        assert await shop.client().refusal(RESET, token=token, new=wrong) == {
            "code": "INVALID",
            "field": ["newPassword"],
        }
    await shop.client().do(RESET, token=token, new=NEW)


async def test_tokens_that_are_none(shop: Shop) -> None:
    refused = {"code": "INVALID_CREDENTIALS", "field": ["token"]}
    for wrong in ("", "x", "\0", "é", "x" * 10_000):
        assert await shop.client().refusal(RESET, token=wrong, new=NEW) == refused
        assert await shop.client().refusal(VERIFY, token=wrong) == refused


async def test_a_changed_password_ends_other_sessions_and_sends_a_mail(shop: Shop, mailbox: Mailbox) -> None:
    phone = await shop.account(**ANNA)
    desk = await shop.client().do(SIGN_IN, input=ANNA)
    changed = await phone.do(CHANGE, current=ANNA["password"], new=NEW)
    assert changed["profile"] == {"email": ANNA["email"]}
    assert (await shop.client().refusal(REFRESH, t=desk["refreshToken"]))["code"] == "INVALID_CREDENTIALS"
    assert await goes_on(shop, phone)
    await shop.client().do(SIGN_IN, input={**ANNA, "password": NEW})
    await mailbox.collect(shop.services)
    assert "Your password was changed" in mailbox.subjects(ANNA["email"])
    assert NEW not in "".join(text_of(mail) for mail in mailbox.received)


async def test_a_password_is_not_changed_without_the_present_one(shop: Shop) -> None:
    anna = await shop.account(**ANNA)
    wrong = await anna.refusal(CHANGE, current="a guess", new=NEW)
    assert wrong == {"code": "INVALID_CREDENTIALS", "field": ["currentPassword"]}
    assert (await anna.refusal(CHANGE, current=ANNA["password"], new="short"))["field"] == ["newPassword"]
    await shop.client().do(SIGN_IN, input=ANNA)


async def test_only_accounts_have_a_password_to_change(shop: Shop) -> None:
    given = {"current": ANNA["password"], "new": NEW}
    assert await shop.client().code(CHANGE, **given) == "UNAUTHENTICATED"
    assert await (await shop.anonymous()).code(CHANGE, **given) == "FORBIDDEN"


async def test_where_another_service_keeps_the_accounts_nothing_of_this_is_offered(shop: Shop) -> None:
    anna = await shop.account(**ANNA)
    superuser = await asyncpg.connect(shop.dsns.superuser)
    await superuser.execute("comment on schema auth is null")
    await superuser.close()
    for document, given in (
        (FORGOT, {"email": ANNA["email"]}),
        (RESET, {"token": "x", "new": NEW}),
        (ASK, {}),
        (VERIFY, {"token": "x"}),
        (CHANGE, {"current": ANNA["password"], "new": NEW}),
    ):
        assert (await anna.refusal(document, **given))["code"] == "UNAVAILABLE"
