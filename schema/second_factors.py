"""Second factors: an authenticator app in addition to the password."""

from __future__ import annotations

from datetime import datetime

import asyncpg
import strawberry

from db.sources import Reference
from domain import ids
from resolvers import second_factors
from schema.accounts import AuthPayload, auth_payload
from schema.bounds import at_most
from schema.context import Info
from schema.errors import Stores, UserError, outcome, user_errors
from schema.node import load
from schema.profiles import Profile


@strawberry.type(description="A second factor for signing in: an app that shows codes (TOTP).")
class SecondFactor:
    id: strawberry.ID = strawberry.field(description="For verifyTotp and removeTotp.")
    name: str | None = strawberry.field(description="The name that its owner gave it.")
    is_verified: bool = strawberry.field(description="Whether one of its codes was ever shown; it counts from then on.")
    created_at: datetime = strawberry.field(description="When it was enrolled.")

    @classmethod
    def of(cls, row: asyncpg.Record) -> SecondFactor:
        return cls(
            id=strawberry.ID(ids.encode("SecondFactor", row["id"])),
            name=row["name"],
            is_verified=row["is_verified"],
            created_at=row["created_at"],
        )


@strawberry.input(description="A second factor to add.")
class EnrolTotpInput:
    name: str | None = strawberry.field(
        default=None, description="A name, such as the phone's; at most 100 characters."
    )
    password: str | None = strawberry.field(
        default=None, description="The caller's password; needed if the last sign-in was more than 10 minutes ago."
    )


@strawberry.type(description="A new second factor, to be verified with its first code.")
class EnrolTotpPayload:
    factor_id: strawberry.ID | None = strawberry.field(default=None, description="For verifyTotp.")
    secret: str | None = strawberry.field(default=None, description="The secret to type into the app; shown only once.")
    uri: str | None = strawberry.field(default=None, description="otpauth://, to be shown as a QR code.")
    user_errors: list[UserError] = user_errors()


@strawberry.input(description="A code of a second factor.")
class VerifyTotpInput:
    factor_id: strawberry.ID = strawberry.field(description="The factor's id.")
    code: str = strawberry.field(description="The six digits that the app shows; they work once.")


@strawberry.input(description="A second factor to remove.")
class RemoveTotpInput:
    factor_id: strawberry.ID = strawberry.field(description="The factor's id.")


@strawberry.type(description="The outcome of removing a second factor.")
class RemoveTotpPayload:
    profile: Reference[Profile] | None = strawberry.field(
        graphql_type=Profile | None, default=None, description="The caller's profile."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type(description="Codes that replace a lost second factor.")
class CreateRecoveryCodesPayload:
    codes: list[str] = strawberry.field(
        description="Ten codes, shown only once; each works once.",
        default_factory=list,
        metadata=at_most(second_factors.RECOVERY_CODES),
    )
    user_errors: list[UserError] = user_errors()


@strawberry.input(description="A recovery code.")
class VerifyRecoveryCodeInput:
    code: str = strawberry.field(description="A code from createRecoveryCodes; hyphens and case do not matter.")


@strawberry.type
class SecondFactorMutation:
    @strawberry.mutation(
        description="Adds a second factor, which counts once verifyTotp has accepted its first code. CONFLICT before "
        "the e-mail is verified. If there is a verified factor, it must have been shown."
    )
    @outcome(EnrolTotpPayload, stores=Stores(is_essential=True))
    async def enrol_totp(self, info: Info, input: EnrolTotpInput) -> EnrolTotpPayload:
        context = info.context
        enrolled = await second_factors.enrol(
            context.services, context.caller, context.claims, input.name, input.password
        )
        return EnrolTotpPayload(
            factor_id=strawberry.ID(ids.encode("SecondFactor", enrolled.factor_id)),
            secret=enrolled.secret,
            uri=enrolled.uri,
        )

    @strawberry.mutation(
        description="Checks a code: the first one verifies a new factor, each one is the second step of signing in. "
        "Returns new tokens (aal2), which replace the caller's."
    )
    @outcome(AuthPayload, stores=Stores(is_essential=True))
    async def verify_totp(self, info: Info, input: VerifyTotpInput) -> AuthPayload:
        key = ids.decode_as("SecondFactor", input.factor_id)
        context = info.context
        return await auth_payload(
            info,
            await second_factors.verify(
                context.services, context.caller, context.claims, factor_id=key, code=input.code
            ),
        )

    @strawberry.mutation(description="Removes a second factor; a verified one only after it or another one was shown.")
    @outcome(RemoveTotpPayload, stores=Stores(is_essential=True))
    async def remove_totp(self, info: Info, input: RemoveTotpInput) -> RemoveTotpPayload:
        key = ids.decode_as("SecondFactor", input.factor_id)
        account = await second_factors.remove(info.context.services, info.context.claims, key)
        return RemoveTotpPayload(profile=load(info, Profile, account))

    @strawberry.mutation(
        description="Creates ten codes, each of which replaces a lost second factor once, and invalidates earlier ones."
    )
    @outcome(CreateRecoveryCodesPayload, stores=Stores(is_essential=True))
    async def create_recovery_codes(self, info: Info) -> CreateRecoveryCodesPayload:
        context = info.context
        codes = await second_factors.create_recovery_codes(context.services, context.claims)
        return CreateRecoveryCodesPayload(codes=codes)

    @strawberry.mutation(
        description="Accepts a recovery code instead of a code of the app. Returns new tokens (aal2), with which the "
        "lost factor can be removed."
    )
    @outcome(AuthPayload, stores=Stores(is_essential=True))
    async def verify_recovery_code(self, info: Info, input: VerifyRecoveryCodeInput) -> AuthPayload:
        context = info.context
        return await auth_payload(
            info, await second_factors.recover(context.services, context.caller, context.claims, input.code)
        )
