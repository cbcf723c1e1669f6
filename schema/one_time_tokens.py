"""Tokens that come by mail: to choose a new password, to show that an e-mail is one's own."""

from __future__ import annotations

import strawberry

from resolvers import one_time_tokens
from schema.context import Info
from schema.errors import Stores, UserError, outcome, user_errors


@strawberry.input(description="An account whose password was forgotten.")
class RequestPasswordResetInput:
    email: str = strawberry.field(description="Case and Unicode form do not matter.")


@strawberry.type(description="The same whether there is such an account or not.")
class RequestPasswordResetPayload:
    user_errors: list[UserError] = user_errors()


@strawberry.input(description="A new password.")
class ResetPasswordInput:
    token: str = strawberry.field(description="From the mail; it works once.")
    new_password: str = strawberry.field(description="8 to 1,024 characters, counted in NFKC.")


@strawberry.type(description="The outcome of choosing a new password.")
class ResetPasswordPayload:
    user_errors: list[UserError] = user_errors()


@strawberry.type(description="The outcome of requesting a mail.")
class RequestEmailVerificationPayload:
    user_errors: list[UserError] = user_errors()


@strawberry.input(description="An e-mail to verify.")
class VerifyEmailInput:
    token: str = strawberry.field(description="From the mail; it works once.")


@strawberry.type(description="The outcome of verifying an e-mail.")
class VerifyEmailPayload:
    password_reset_required: bool = strawberry.field(
        default=False,
        description="True if the request came without a live session of the account, which another person may have "
        "created: it starts afresh, empty and without a password. Request a password with "
        "requestPasswordReset.",
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class OneTimeTokenMutation:
    @strawberry.mutation(
        description="Sends a mail with a token for resetPassword, if there is such an account. Earlier tokens stay "
        "valid until one is used or they expire."
    )
    @outcome(RequestPasswordResetPayload, stores=Stores(is_essential=True))
    async def request_password_reset(self, info: Info, input: RequestPasswordResetInput) -> RequestPasswordResetPayload:
        context = info.context
        await one_time_tokens.request_password_reset(context.services, context.caller, input.email, context.claims)
        return RequestPasswordResetPayload()

    @strawberry.mutation(
        description="Stores a new password and ends every session of the account; then sign in with it. A second "
        "factor stays. An account whose e-mail was never verified starts afresh: all its data is deleted."
    )
    @outcome(ResetPasswordPayload, stores=Stores(is_essential=True))
    async def reset_password(self, info: Info, input: ResetPasswordInput) -> ResetPasswordPayload:
        await one_time_tokens.reset_password(
            info.context.services, info.context.caller, token=input.token, new=input.new_password
        )
        return ResetPasswordPayload()

    @strawberry.mutation(
        description="Sends the caller another mail with a token for verifyEmail; signUp has sent the first."
    )
    @outcome(RequestEmailVerificationPayload, stores=Stores(is_essential=True))
    async def request_email_verification(self, info: Info) -> RequestEmailVerificationPayload:
        await one_time_tokens.request_email_verification(
            info.context.services, info.context.caller, info.context.claims
        )
        return RequestEmailVerificationPayload()

    @strawberry.mutation(
        description="Verifies the account's e-mail with the token of the mail. Send it with an access token of the "
        "account: without one, the account starts afresh (passwordResetRequired)."
    )
    @outcome(VerifyEmailPayload, stores=Stores(is_essential=True))
    async def verify_email(self, info: Info, input: VerifyEmailInput) -> VerifyEmailPayload:
        context = info.context
        is_afresh = await one_time_tokens.verify_email(context.services, input.token, context.claims)
        return VerifyEmailPayload(password_reset_required=is_afresh)
