"""The life of an account: begun, merged into, protected, recovered and deleted. On people made for it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pyotp

from bench.operations import Ask, Catalogue, Tour

TOKENS = "accessToken refreshToken"


class AccountTour(Tour):
    """`mailed` sends the mails that wait and gives the token in the newest one."""

    def __init__(self, ask: Ask, told: Callable[[str], None], mailed: Callable[[], Awaitable[str]]) -> None:
        super().__init__(ask, "", told)
        self._mailed = mailed
        self._email = f"{secrets.token_hex(8)}@plans.invalid"
        self._password = secrets.token_hex(8)

    async def life(self, known: Catalogue) -> None:
        """From the first visit to the deletion."""
        session = await self._session(known)
        await self._become("signUp", "SignUpInput", self._credentials())
        await self.person(known)
        await self.export()
        counts = "swipes clicks views assessments"
        await self._write("mergeSession", "MergeSessionInput", counts, {"refreshToken": session})
        await self._verify_email()
        await self._end_sessions()
        await self._second_factor()
        await self._new_passwords()
        await self.decide(granted=False)
        confirmed = {"confirm": True, "password": self._password}
        await self._write("deleteMyAccount", "DeleteMyAccountInput", "deleted logInDeleted", confirmed)

    async def _session(self, known: Catalogue) -> str:
        """One anonymous session that ends, and one that does things: its refresh token."""
        refresh_token = ""
        for is_kept in (False, True):
            self._token = ""
            refresh_token = await self._become("startSession", "StartSessionInput", {"landingPage": "/plans"})
            if not is_kept:
                await self._write("signOut", "", "signedOut", {})
        await self.person(known)
        self._token = ""
        return refresh_token

    def _credentials(self) -> dict[str, Any]:
        return {"email": self._email, "password": self._password}

    async def _become(self, name: str, kind: str, given: dict[str, Any]) -> str:
        """Continues with the tokens of the payload, after one refresh; returns the refresh token."""
        tokens = await self._write(name, kind, TOKENS, given)
        self._token = tokens["accessToken"]
        renewed = {"refreshToken": tokens["refreshToken"]}
        tokens = await self._write("refreshSession", "RefreshSessionInput", TOKENS, renewed)
        self._token = tokens["accessToken"]
        return str(tokens["refreshToken"])

    async def _sign_in(self) -> None:
        self._token = ""
        await self._become("signIn", "SignInInput", self._credentials())

    async def _verify_email(self) -> None:
        await self._write("requestEmailVerification", "", "", {})
        await self._write("verifyEmail", "VerifyEmailInput", "", {"token": await self._mailed()})

    async def _end_sessions(self) -> None:
        for _ in range(2):
            await self._sign_in()
        sessions = (await self._do("me sessions", "{ me { sessions { nodes { id isCurrent } } } }"))["me"]["sessions"]
        other = next(node["id"] for node in sessions["nodes"] if not node["isCurrent"])
        await self._write("revokeSession", "RevokeSessionInput", "session { revokedAt }", {"sessionId": other})
        await self._write("revokeOtherSessions", "", "revoked", {})

    async def _second_factor(self) -> None:
        enrolled = await self._write("enrolTotp", "EnrolTotpInput", "factorId secret", {"name": "plans"})
        shown = {"factorId": enrolled["factorId"], "code": pyotp.TOTP(enrolled["secret"]).at(time.time())}
        await self._become("verifyTotp", "VerifyTotpInput", shown)
        codes = (await self._write("createRecoveryCodes", "", "codes", {}))["codes"]
        await self._sign_in()
        await self._become("verifyRecoveryCode", "VerifyRecoveryCodeInput", {"code": codes[0]})
        lost = {"factorId": enrolled["factorId"]}
        await self._write("removeTotp", "RemoveTotpInput", "profile { secondFactors { id } }", lost)

    async def _new_passwords(self) -> None:
        given = {"currentPassword": self._password, "newPassword": f"{self._password} changed"}
        await self._write("changePassword", "ChangePasswordInput", "profile { id }", given)
        await self._write("requestPasswordReset", "RequestPasswordResetInput", "", {"email": self._email})
        reset = {"token": await self._mailed(), "newPassword": f"{self._password} reset"}
        await self._write("resetPassword", "ResetPasswordInput", "", reset)
        self._password = reset["newPassword"]
        await self._sign_in()
