"""The pages behind the links in mails, for deployments whose app has none: `/verify-email` and `/reset-password`.
Opening one changes nothing, because mail scanners open links; only its button does."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from domain import passwords
from domain.callers import Caller
from domain.errors import Invalid, InvalidCredentials, SwitchedOff, Unavailable
from domain.switches import Switch
from resolvers import one_time_tokens
from services import outbox
from services.services import Services
from transports.pages import fill, form, limited, notice, page


def routes() -> list[Route]:
    return [
        Route("/verify-email", limited(_verify_email), methods=["GET", "POST"]),
        Route("/reset-password", limited(_reset_password), methods=["GET", "POST"]),
    ]


async def _verify_email(http: HttpRequest, services: Services, visitor: Caller) -> Response:
    try:
        if http.method == "POST":
            services.switches.require(Switch.WRITES)
            reset_token = await one_time_tokens.verify_email_on_page(services, (await form(http)).get("token", ""))
            if reset_token is not None:
                return _password_form(services, "Your address is confirmed: choose a password", reset_token)
            return notice("Your address is confirmed", "You can close this page and go on in the app.")
        token = http.query_params.get("token", "")
        await one_time_tokens.require(services, outbox.VERIFY_EMAIL, token)
    except InvalidCredentials:
        return _refused("If your address is not confirmed yet, sign in to the app and ask for another mail there.")
    except SwitchedOff as error:
        return _later(error)
    except Unavailable as error:
        return notice("There is nothing to confirm here", str(error), status=404)
    body = fill("verify_email", action=_path(services, "/verify-email"), token=token)
    return page("Is this your e-mail address?", body)


async def _reset_password(http: HttpRequest, services: Services, visitor: Caller) -> Response:
    title = "Choose a new password"
    try:
        if http.method == "POST":
            services.switches.require(Switch.WRITES)
            sent = await form(http)
            token = sent.get("token", "")
            await one_time_tokens.require(services, outbox.RESET_PASSWORD, token)
            try:
                await one_time_tokens.reset_password(services, visitor, token=token, new=sent.get("password", ""))
            except Invalid as error:
                return _password_form(services, title, token, alert=str(error))
            return notice("Your password is saved", "Every other session was signed out. Sign in with it in the app.")
        token = http.query_params.get("token", "")
        await one_time_tokens.require(services, outbox.RESET_PASSWORD, token)
    except InvalidCredentials:
        return _refused("If you still want a new password, ask for another mail in the app, where one signs in.")
    except SwitchedOff as error:
        return _later(error)
    except Unavailable as error:
        return notice("There are no passwords here", str(error), status=404)
    return _password_form(services, title, token)


def _later(error: SwitchedOff) -> Response:
    return notice("Not now", f"{error} The link in your mail still works later.", status=503)


def _password_form(services: Services, title: str, token: str, *, alert: str = "") -> Response:
    body = fill(
        "reset_password",
        title=title,
        alert=fill("alert", text=alert) if alert else "",
        action=_path(services, "/reset-password"),
        token=token,
        shortest=str(passwords.MIN_LENGTH),
        longest=str(passwords.MAX_LENGTH),
    )
    return page(title, body, status=400 if alert else 200)


def _refused(what_next: str) -> Response:
    text = f"It was used already, has expired, or was copied only in part. {what_next}"
    return notice("This link does not work", text, status=410)


def _path(services: Services, path: str) -> str:
    """The path as browsers see it, with the prefix of PUBLIC_URL."""
    return urlsplit(services.settings.base_url).path + path
