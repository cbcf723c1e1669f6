"""An anonymous session becomes part of an account."""

from __future__ import annotations

from dataclasses import dataclass

from db.claims import Claims, service_for
from domain.errors import Conflict, Invalid, InvalidCredentials, NotFound, Unauthenticated
from resolvers import preferences, sessions
from resolvers.services import Services


@dataclass(frozen=True, slots=True)
class Merged:
    """How many rows of an anonymous session became an account's."""

    swipes: int
    clicks: int
    views: int
    assessments: int


async def merge(services: Services, claims: Claims, session_token: str) -> Merged:
    """Moves all that belongs to an anonymous session to the caller's account, in one transaction; merging it again
    changes nothing and gives the same counts. The newer signal of a product counts.

    Raises Unauthenticated without a token, Invalid for a caller without an account or a token that is not an anonymous
    session's, InvalidCredentials for one that is not valid, LimitReached when both stored too much today, Conflict when
    another account has it, NotFound when the session is gone.
    """
    if claims.subject is None:
        raise Unauthenticated("Sign in to the account first.")
    if claims.role != "authenticated" or claims.is_anonymous:
        raise Invalid("The caller must be signed in to an account.")
    path = ("sessionToken",)
    try:
        visitor = await services.tokens.verify(session_token)
    except Unauthenticated as error:
        raise InvalidCredentials(str(error), path) from None
    if not visitor.is_anonymous or visitor.subject is None or visitor.role == "service_role":
        raise Invalid("This is not the access token of an anonymous session.", path)
    await sessions.refuse_ended(services, claims)
    try:
        await sessions.refuse_ended(services, visitor)
    except Unauthenticated as error:
        raise InvalidCredentials(str(error), path) from None
    await services.storage_use.take_over(visitor.subject, claims)
    async with services.database.session(service_for(claims.subject), read_only=False) as session:
        for person in sorted((claims.subject, visitor.subject)):
            await session.fetch("swipes.lock", user_id=person)
        row = await session.fetchrow("session_merges.merge", session=visitor.subject)
        assert row is not None
        match row["outcome"]:
            case "no account":
                raise Invalid("The caller must be signed in to an account.")
            case "elsewhere":
                raise Conflict("This session became part of another account.", path)
            case "unknown":
                raise NotFound("There is no such session.", path)
        # Either may have withdrawn what the other's rows were kept under.
        await session.fetch("consents.forget_withdrawn")
        if await session.fetchval("swipes.any", user_id=claims.subject):
            await preferences.recompute(session, claims.subject)
    return Merged(row["swipes"], row["clicks"], row["views"], row["assessments"])
