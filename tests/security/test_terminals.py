"""What networks and files say is printed by commands: it has nothing that a terminal obeys."""

from __future__ import annotations

import json

import pytest

from commands.terminal import note
from domain.ledger.postbacks import Message, read
from domain.ledger.reports import order_of

COPY = "\x1b]52;c;cm0gLXJmIH4=\x07"  # puts a text on the clipboard


@pytest.mark.parametrize("name", ["transactionId", "transactionCurrency", "merchantId"])
@pytest.mark.parametrize("said", [COPY, "a\x9b31mb", "a\nb"], ids=["escape", "C1", "two lines"])
def test_values_with_control_characters_are_no_ids(name: str, said: str) -> None:
    row = {
        "transactionId": "T1", "commission": "1.20", "transactionCurrency": "GBP", "merchantId": "7",
        "transactionDate": "2026-11-30T10:00:00",
    }  # fmt: skip
    assert len(read("awin", None, Message("application/json", b"", json.dumps(row).encode())).reports) == 1
    [reject] = read("awin", None, Message("application/json", b"", json.dumps({**row, name: said}).encode())).rejects
    assert reject.reason.isprintable()
    assert order_of({"orderRef": said}, "orderRef") is None


def test_messages_of_commands_have_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    note(f"row 3: {COPY}\tis no\nnumber\r", "red")
    said = capsys.readouterr().err
    assert "is no\nnumber" in said
    assert all(letter.isprintable() or letter in "\t\n" for letter in said)
