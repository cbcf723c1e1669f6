"""The pages behind the links of mails: opened by scanners and people, changed by their buttons alone."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.conftest import Shop
from tests.mailbox import Mailbox

pytestmark = pytest.mark.usefixtures("own_accounts")

SIGN_IN = "mutation ($input: SignInInput!) { signIn(input: $input) { accessToken userErrors { code } } }"
REQUEST = "mutation ($email: String!) { requestPasswordReset(input: {email: $email}) { userErrors { code } } }"
ANNA = "anna@people.example"


async def link_of(shop: Shop, mailbox: Mailbox, path: str) -> str:
    """The path of the latest mail's link."""
    mails = [mail.get_content() for mail in await mailbox.collect(shop.services)]
    return re.findall(rf"(/{path}\?token=\S+)", "\n".join(mails))[-1]


def form_of(page: httpx.Response) -> tuple[str, dict[str, str]]:
    """Where the one form leads, and its hidden fields."""
    assert page.text.count("<button") == 1
    assert "<script" not in page.text
    (action,) = re.findall(r'<form method="post" action="([^"]+)">', page.text)
    return action, dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]+)">', page.text))


async def is_verified(shop: Shop) -> bool:
    found: bool = await shop.owner.fetchval("select email_confirmed_at is not null from auth.users")
    return found


async def can_sign_in(shop: Shop, password: str) -> bool:
    answer = await shop.client().ask(SIGN_IN, input={"email": ANNA, "password": password})
    return answer["signIn"]["accessToken"] is not None


async def test_the_button_verifies_and_leads_on_to_a_password(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(ANNA, "correct horse")
    link = await link_of(shop, mailbox, "verify-email")
    for method in ("GET", "HEAD", "GET"):
        page = await shop.http.request(method, link)
        assert page.status_code == 200
        assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert not await is_verified(shop)
    action, fields = form_of(page)
    confirmed = await shop.http.post(action, data=fields)
    assert confirmed.status_code == 200
    assert await is_verified(shop)
    assert not await can_sign_in(shop, "correct horse")
    action, fields = form_of(confirmed)
    short = await shop.http.post(action, data={**fields, "password": "x"})
    assert (short.status_code, form_of(short)) == (400, (action, fields))
    assert (await shop.http.post(action, data={**fields, "password": "battery staple"})).status_code == 200
    assert await can_sign_in(shop, "battery staple")
    assert (await shop.http.post(action, data={**fields, "password": "another one"})).status_code == 410
    assert (await shop.http.get(link)).status_code == 410


async def test_the_form_of_a_mail_sets_the_password_once(shop: Shop, mailbox: Mailbox) -> None:
    await shop.verified_account(ANNA, "correct horse")
    await shop.client().do(REQUEST, email=ANNA)
    link = await link_of(shop, mailbox, "reset-password")
    action, fields = form_of(await shop.http.get(link))
    assert await can_sign_in(shop, "correct horse")
    elsewhere = {"sec-fetch-site": "cross-site"}
    sent = {**fields, "password": "battery staple"}
    assert (await shop.http.post(action, data=sent, headers=elsewhere)).status_code == 410
    assert (await shop.http.post(action, data=sent)).status_code == 200
    assert await can_sign_in(shop, "battery staple")
    assert (await shop.http.get(link)).status_code == 410


@pytest.mark.parametrize("path", ["/verify-email", "/reset-password"])
@pytest.mark.parametrize("query", ["", "?token=", "?token=unknown", "?token=%00", "?token=%3Cscript%3E"])
async def test_an_invalid_token_gets_a_page_that_says_what_to_do(shop: Shop, path: str, query: str) -> None:
    answers = [
        await shop.http.get(path + query),
        await shop.http.post(path, data={"token": query, "password": "x" * 9}),
    ]
    for answer in answers:
        assert answer.status_code == 410
        assert "ask for another mail" in answer.text
        assert "<script" not in answer.text
