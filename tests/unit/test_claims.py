"""What a token says of how and when somebody signed in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from db.claims import ANONYMOUS, SERVICE, Claims

PAYLOAD = {"sub": str(UUID(int=1)), "role": "authenticated", "exp": 1}


@pytest.mark.parametrize(
    ("amr", "signed_in_at"),
    [
        ([{"method": "password", "timestamp": 100}, {"method": "totp", "timestamp": 200}], 100),
        ([{"method": "otp", "timestamp": 200}, {"method": "password", "timestamp": 100}], 200),
        (["pwd", {"method": "otp", "timestamp": 5}], 5),
        ([{"method": "recovery_code", "timestamp": 5}, {"method": "mfa/totp", "timestamp": 5}], None),
        ([{"method": "oauth", "timestamp": 100}, {"method": "password", "timestamp": 200}], 200),
        ([{"method": "password", "timestamp": 200}, {"method": "oauth", "timestamp": 100}], 200),
        ([{"method": "mfa/phone", "timestamp": 200}, {"method": "recovery_code", "timestamp": 200}], None),
        (["pwd", "otp"], None),  # RFC 8176: names alone
        ([{"method": "password"}], None),
        ([{"method": "password", "timestamp": "200"}], None),
        ([{"method": "password", "timestamp": True}], None),
        ([], None),
        ({"timestamp": 200}, None),
        ("password", None),
        (None, None),
    ],
)
def test_the_newest_sign_in_counts(amr: Any, signed_in_at: int | None) -> None:
    assert Claims.from_payload({**PAYLOAD, "amr": amr}).signed_in_at == signed_in_at


@pytest.mark.parametrize("aal", ["aal1", "AAL2", "aal3", "", 2, True, None, ["aal2"], {"aal2": 1}])
def test_only_aal2_is_aal2(aal: Any) -> None:
    assert Claims.from_payload({**PAYLOAD, "aal": aal}).aal == "aal1"
    assert Claims.from_payload({**PAYLOAD, "aal": "aal2"}).aal == "aal2"


def test_without_a_word_nothing_was_proved() -> None:
    for claims in (Claims.from_payload(PAYLOAD), ANONYMOUS, SERVICE):
        assert (claims.aal, claims.signed_in_at) == ("aal1", None)
