"""Messages as they go out: one recipient, no header that somebody else wrote."""

from __future__ import annotations

from email import policy
from email.parser import BytesParser

import pytest

import settings
from domain.mails import Mail, compose
from services.senders import LogSender, SmtpSender, Undeliverable, from_settings

SENDER = SmtpSender("smtp://mail.example", "Aclue <no-reply@shop.example>")
PRODUCTION = {"ENVIRONMENT": "production", "JWT_SECRET": "x" * 32, "DATABASE_URL": "postgresql://api@db.example/aclue"}


def mail(recipient: str = "anna@people.example", token: str = "t0ken") -> Mail:
    return compose("key", "reset_password", recipient, "https://app.example", token)


@pytest.mark.parametrize(
    "recipient",
    [
        "anna@people.example",
        "anna,ben@people.example",
        "<anna>@people.example",
        '"anna"@people.example',
        "anna;ben@people.example",
        "anna(x)@people.example",
        "Bcc:ben@people.example",
    ],
)
def test_a_strange_address_is_one_address(recipient: str) -> None:
    sent = BytesParser(policy=policy.default).parsebytes(SENDER.message(mail(recipient)).as_bytes())
    (address,) = sent["To"].addresses
    assert f"{address.username}@{address.domain}" == recipient
    written = "To From Subject Date Message-ID Auto-Submitted Content-Type Content-Transfer-Encoding MIME-Version"
    assert sorted(sent.keys()) == sorted(written.split())


@pytest.mark.parametrize(
    "local",
    [
        "=?utf-8?q?anna=0d=0abcc:_ben?=",
        "=?utf-8?q?anna=0d=0a=0d=0atext?=",
        "=?utf-8?b?YW5uYUB4LmV4YW1wbGUs?=",
    ],
)
def test_what_a_header_would_decode_is_refused(local: str) -> None:
    with pytest.raises(Undeliverable):
        SENDER.message(mail(f"{local}@people.example"))


@pytest.mark.parametrize("recipient", ["anna\r\nBcc: ben@people.example", "anna@people.example\nBcc: b@x.example"])
def test_a_recipient_with_a_line_end_is_refused(recipient: str) -> None:
    with pytest.raises(Undeliverable):
        SENDER.message(mail(recipient))


# Each would go to anna@people.example, who would then have shown that an address of x.example is theirs.
@pytest.mark.parametrize(
    "domain", ["people.example,x.example", "people.example;x.example", "people.example(x.example)"]
)
@pytest.mark.parametrize("end", ["", ">"])
def test_a_domain_that_is_none_sends_no_mail_elsewhere(domain: str, end: str) -> None:
    with pytest.raises(Undeliverable):
        SENDER.message(mail(f"anna@{domain}{end}"))


def test_a_message_that_is_sent_again_has_the_same_id() -> None:
    assert SENDER.message(mail())["Message-ID"] == SENDER.message(mail())["Message-ID"] == "<key@shop.example>"


@pytest.mark.parametrize("template", ["reset_password", "verify_email", "password_changed"])
def test_a_mail_says_whom_it_is_about_and_where_to_go(template: str) -> None:
    composed = compose("key", template, "anna@people.example", "https://app.example", "t0ken")
    assert "anna@people.example" in composed.text
    assert "https://app.example/" in composed.text
    assert ("?token=t0ken\n" in composed.text) == (template != "password_changed")
    assert composed.text.isascii()


def test_braces_of_an_address_are_no_template() -> None:
    assert "{token}@people.example" in mail("{token}@people.example").text


@pytest.mark.parametrize(
    ("url", "port", "is_tls", "starts_tls"),
    [
        ("smtp://mail.example", 25, False, False),
        ("smtp://mail.example?starttls=1", 587, False, True),
        ("smtp://anna:p%40ss@mail.example", 587, False, True),
        ("smtp://anna:pass@mail.example:2525?starttls=0", 2525, False, False),
        ("smtps://anna:pass@mail.example", 465, True, False),
    ],
)
def test_a_log_in_is_not_sent_in_the_clear_unless_one_says_so(
    url: str, port: int, is_tls: bool, starts_tls: bool
) -> None:
    sender = SmtpSender(url, "no-reply@shop.example")
    assert (sender._port, sender._is_tls, sender._starts_tls) == (port, is_tls, starts_tls)


def test_without_smtp_mails_are_logged_in_development_and_wait_in_production() -> None:
    assert isinstance(from_settings(settings.load({})), LogSender)
    assert from_settings(settings.load(PRODUCTION)) is None
    smtp = {
        "SMTP_URL": "smtp://mail.example",
        "MAIL_FROM": "no-reply@shop.example",
        "APP_URL": "https://app.example",
    }
    assert isinstance(from_settings(settings.load({**PRODUCTION, **smtp})), SmtpSender)
