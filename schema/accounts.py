"""Sessions and accounts."""

from __future__ import annotations

from datetime import datetime

import strawberry

from db.sources import Reference
from domain import ids
from resolvers import accounts, sessions
from resolvers.profiles import require_subject
from resolvers.sessions import Landing, SignedIn
from schema.context import Info
from schema.errors import NOTHING, Stores, UserError, outcome, user_errors
from schema.node import load
from schema.profiles import Profile


@strawberry.input(description="Where a visitor came from; each text is truncated to 500 characters.")
class StartSessionInput:
    landing_page: str | None = strawberry.field(default=None, description="The first page they visited.")
    referrer: str | None = strawberry.field(default=None, description="The page that linked there.")
    device_type: str | None = strawberry.field(default=None, description="Such as phone or desktop.")
    campaign: str | None = strawberry.field(default=None, description="The campaign that led there.")


@strawberry.type(description="An anonymous session.")
class StartSessionPayload:
    session_id: strawberry.ID | None = strawberry.field(default=None, description="Of the session.")
    access_token: str | None = strawberry.field(
        default=None, description="For the header `Authorization: Bearer <token>`."
    )
    refresh_token: str | None = strawberry.field(default=None, description="For refreshSession.")
    expires_at: datetime | None = strawberry.field(default=None, description="When the access token expires.")
    user_errors: list[UserError] = user_errors()


@strawberry.input(description="A new account.")
class SignUpInput:
    email: str = strawberry.field(description="Case and Unicode form do not matter.")
    password: str = strawberry.field(description="8 to 1,024 characters, counted in NFKC.")
    display_name: str | None = strawberry.field(default=None, description="At most 100 characters.")


@strawberry.input(description="An account to sign in to.")
class SignInInput:
    email: str = strawberry.field(description="Case and Unicode form do not matter.")
    password: str = strawberry.field(description="The account's password.")


@strawberry.input(description="A session to continue. Do not send an expired access token with it.")
class RefreshSessionInput:
    refresh_token: str = strawberry.field(
        description="The newest one. A token that was exchanged before still works for some seconds, for a second tab "
        "or after a lost response; after that, using it ends the session."
    )


@strawberry.type(description="A pair of tokens and the person they identify.")
class AuthPayload:
    access_token: str | None = strawberry.field(
        default=None, description="For the header `Authorization: Bearer <token>`."
    )
    refresh_token: str | None = strawberry.field(default=None, description="For refreshSession.")
    expires_at: datetime | None = strawberry.field(default=None, description="When the access token expires.")
    profile: Reference[Profile] | None = strawberry.field(
        graphql_type=Profile | None, default=None, description="Who is signed in."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type(description="The outcome of signing out.")
class SignOutPayload:
    signed_out: bool = strawberry.field(default=False, description="False if the session had ended before.")
    user_errors: list[UserError] = user_errors()


@strawberry.input(description="A new password for the caller's account.")
class ChangePasswordInput:
    current_password: str = strawberry.field(description="The current password.")
    new_password: str = strawberry.field(description="8 to 1,024 characters, counted in NFKC.")


@strawberry.type(description="The outcome of changing the password.")
class ChangePasswordPayload:
    profile: Reference[Profile] | None = strawberry.field(
        graphql_type=Profile | None, default=None, description="The caller's profile."
    )
    user_errors: list[UserError] = user_errors()


async def auth_payload(info: Info, signed_in: SignedIn) -> AuthPayload:
    """The tokens, and the profile as those who have them see it."""
    await info.context.switch_claims(signed_in.claims)
    return AuthPayload(
        access_token=signed_in.access_token,
        refresh_token=signed_in.refresh_token,
        expires_at=signed_in.expires_at,
        profile=load(info, Profile, signed_in.claims.subject),
    )


@strawberry.type
class AccountMutation:
    @strawberry.mutation(description="Starts an anonymous session: a profile and its tokens.")
    @outcome(StartSessionPayload, stores=Stores(row=800, is_essential=True))
    async def start_session(self, info: Info, input: StartSessionInput) -> StartSessionPayload:
        context = info.context
        visit = Landing(input.landing_page, input.referrer, input.device_type, input.campaign)
        signed_in = await sessions.start(context.services, context.caller, visit)
        assert signed_in.claims.session_id is not None
        return StartSessionPayload(
            session_id=strawberry.ID(ids.encode("Session", signed_in.claims.session_id)),
            access_token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
            expires_at=signed_in.expires_at,
        )

    @strawberry.mutation(description="Creates an account and signs in.")
    @outcome(AuthPayload, stores=Stores(row=2500))
    async def sign_up(self, info: Info, input: SignUpInput) -> AuthPayload:
        context = info.context
        return await auth_payload(
            info,
            await accounts.sign_up(
                context.services,
                context.caller,
                email=input.email,
                password=input.password,
                display_name=input.display_name,
            ),
        )

    @strawberry.mutation(
        description="Signs in with e-mail and password. After too many failed attempts by others, a request with an "
        "access token of the account is still accepted."
    )
    @outcome(AuthPayload, stores=Stores(is_essential=True))
    async def sign_in(self, info: Info, input: SignInInput) -> AuthPayload:
        context = info.context
        return await auth_payload(
            info,
            await accounts.sign_in(
                context.services,
                context.caller,
                email=input.email,
                password=input.password,
                claims=context.claims,
            ),
        )

    @strawberry.mutation(description="Exchanges a refresh token for a new pair of tokens.")
    @outcome(AuthPayload, stores=Stores(is_essential=True))
    async def refresh_session(self, info: Info, input: RefreshSessionInput) -> AuthPayload:
        return await auth_payload(info, await sessions.refresh(info.context.services, input.refresh_token))

    @strawberry.mutation(description="Ends the session of the access token, which invalidates its refresh tokens.")
    @outcome(SignOutPayload, stores=NOTHING)
    async def sign_out(self, info: Info) -> SignOutPayload:
        context = info.context
        require_subject(context.session)
        return SignOutPayload(signed_out=await sessions.sign_out(context.services, context.claims))

    @strawberry.mutation(
        description="Changes the caller's password and ends all their other sessions. Needs the second factor, if "
        "there is one."
    )
    @outcome(ChangePasswordPayload, stores=Stores(is_essential=True))
    async def change_password(self, info: Info, input: ChangePasswordInput) -> ChangePasswordPayload:
        context = info.context
        account = await accounts.change_password(
            context.services, context.caller, context.claims, current=input.current_password, new=input.new_password
        )
        return ChangePasswordPayload(profile=load(info, Profile, account))
