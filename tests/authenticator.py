"""An authenticator app on somebody's phone."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pyotp

from tests.client import Client

ENROL = """
mutation ($name: String) { enrolTotp(input: {name: $name}) { factorId secret uri userErrors { code message field } } }
"""
VERIFY = """
mutation ($factor: ID!, $code: String!) {
  verifyTotp(input: {factorId: $factor, code: $code}) {
    accessToken refreshToken profile { id secondFactors { id name isVerified } } userErrors { code field }
  }
}
"""
REMOVE = """
mutation ($factor: ID!) {
  removeTotp(input: {factorId: $factor}) { profile { secondFactors { id } } userErrors { code field } }
}
"""

RECOVERY_CODES = "mutation { createRecoveryCodes { codes userErrors { code } } }"
RECOVER = """
mutation ($code: String!) {
  verifyRecoveryCode(input: {code: $code}) { accessToken refreshToken userErrors { code field } }
}
"""


@dataclass
class Authenticator:
    factor_id: str
    secret: str

    def code(self, steps: int = 0) -> str:
        """What the app shows, or will show in so many steps of 30 seconds."""
        return pyotp.TOTP(self.secret).at(time.time(), counter_offset=steps)

    def wrong_code(self) -> str:
        """None of those that are right about now."""
        right = {self.code(steps) for steps in range(-3, 4)}
        return next(code for code in ("000000", *map(str, range(100000, 100010))) if code not in right)

    async def show(self, client: Client, steps: int = 0) -> Client:
        """Takes the client to aal2."""
        payload = await client.do(VERIFY, factor=self.factor_id, code=self.code(steps))
        client.token, client.refresh_token = payload["accessToken"], payload["refreshToken"]
        return client


async def enrol(client: Client, name: str | None = None) -> Authenticator:
    """A factor that waits for its first code."""
    payload = await client.do(ENROL, name=name)
    return Authenticator(payload["factorId"], payload["secret"])
