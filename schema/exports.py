"""One's data, to take along."""

from __future__ import annotations

from datetime import datetime
from typing import cast

import strawberry

from resolvers import exports
from schema.context import Info
from schema.errors import Stores, UserError, outcome, user_errors
from schema.scalars import JSON


@strawberry.input(description="A proof in addition to the access token, which may have been stolen.")
class ExportMyDataInput:
    password: str | None = strawberry.field(
        default=None, description="Of the account; not needed within 10 minutes of signing in."
    )
    refresh_token: str | None = strawberry.field(
        default=None, description="Of an anonymous session, which has no password."
    )


@strawberry.type(description="The outcome of requesting an export.")
class ExportMyDataPayload:
    url: str | None = strawberry.field(
        default=None,
        description="Where the data can be downloaded, once, as JSON lines: a header, a line for each row, and a last "
        'line that says `"complete": true`. Needs no token: anybody with the URL gets the data.',
    )
    expires_at: datetime | None = strawberry.field(default=None, description="Until when `url` works.")
    user_errors: list[UserError] = user_errors()

    @strawberry.field(
        description="The data in one piece: `manifest` lists the tables and what is left out; `data` has the rows by "
        "table. Beyond 1 MB it is null, with an error LIMIT_REACHED.",
        deprecation_reason="Download the data from `url`.",
    )
    async def document(self, info: Info) -> JSON | None:
        return None if self.url is None else cast(JSON, await exports.document(info.context.session))


@strawberry.type
class ExportMutation:
    @strawberry.mutation(
        description="Returns a URL of all stored data of the caller. Needs the password or a sign-in of the last 10 "
        "minutes, for an anonymous session its refresh token; and the second factor, if there is one."
    )
    @outcome(ExportMyDataPayload, stores=Stores(is_essential=True))
    async def export_my_data(self, info: Info, input: ExportMyDataInput | None = None) -> ExportMyDataPayload:
        given = input or ExportMyDataInput()
        context = info.context
        address = await exports.request(
            context.session,
            context.services,
            context.caller,
            password=given.password,
            refresh_token=given.refresh_token,
        )
        return ExportMyDataPayload(url=address.url, expires_at=address.expires_at)
