"""The end of an account, with all that is its person's."""

from __future__ import annotations

import strawberry

from resolvers import privacy
from schema.context import Info
from schema.errors import NOTHING, UserError, outcome, user_errors


@strawberry.input(description="The deletion of an account or an anonymous session.")
class DeleteMyAccountInput:
    confirm: bool = strawberry.field(description="Must be true: this cannot be undone.")
    password: str | None = strawberry.field(
        default=None, description="Of the account; not needed within 10 minutes of signing in."
    )
    refresh_token: str | None = strawberry.field(
        default=None, description="Of an anonymous session, which has no password."
    )


@strawberry.type(description="The outcome of deleting an account.")
class DeleteMyAccountPayload:
    deleted: bool = strawberry.field(default=False, description="Whether all data was deleted.")
    log_in_deleted: bool = strawberry.field(
        default=False,
        description="False if another service stores the log-in and does not let us delete it: delete it there.",
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class PrivacyMutation:
    @strawberry.mutation(
        description="Deletes the caller and all their data, immediately and permanently. Sales stay in the ledger, "
        "without the person. Needs the password or a sign-in of the last 10 minutes, for an anonymous "
        "session its refresh token; and the second factor, if there is one."
    )
    @outcome(DeleteMyAccountPayload, stores=NOTHING)
    async def delete_my_account(self, info: Info, input: DeleteMyAccountInput) -> DeleteMyAccountPayload:
        context = info.context
        log_in_deleted = await privacy.erase(
            context.session,
            context.services,
            context.caller,
            password=input.password,
            refresh_token=input.refresh_token,
            confirm=input.confirm,
        )
        return DeleteMyAccountPayload(deleted=True, log_in_deleted=log_in_deleted)
