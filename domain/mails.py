"""The texts of mails: plain text, short, in English."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mail:
    """A message to one address. `key` stays the same when it is sent again."""

    key: str
    recipient: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class _Template:
    subject: str
    text: str


_TEMPLATES = {
    "reset_password": _Template(
        "Choose a new password",
        "Somebody, we hope you, asked to choose a new password for {recipient}.\n\n"
        "{app}/reset-password?token={token}\n\n"
        "The link works once and for a short time. If it was not you, do nothing: your password stays as it is.\n",
    ),
    "verify_email": _Template(
        "Is this your e-mail address?",
        "Somebody, we hope you, made an account with {recipient}. Please confirm that the address is yours:\n\n"
        "{app}/verify-email?token={token}\n\n"
        "The link works once. Open it where you are signed in: elsewhere the account starts afresh, and you choose a "
        "new password.\n\n"
        "If it was not you, do nothing.\n",
    ),
    "password_changed": _Template(
        "Your password was changed",
        "The password of {recipient} was changed, and every other session was signed out.\n\n"
        "If it was not you, choose a new one at once:\n\n"
        "{app}/reset-password\n",
    ),
}


def compose(key: str, template: str, recipient: str, app: str, token: str | None) -> Mail:
    """The message of a template. Raises KeyError for an unknown template."""
    chosen = _TEMPLATES[template]
    return Mail(key, recipient, chosen.subject, chosen.text.format(recipient=recipient, app=app, token=token or ""))
