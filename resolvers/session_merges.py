"""Merges an anonymous session into an account."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from db.claims import SERVICE, Claims, service_for
from domain.errors import Conflict, Invalid, InvalidCredentials, Unauthenticated
from domain.refresh_tokens import RefreshToken
from resolvers import personality, sessions
from services.services import Services


@dataclass(frozen=True, slots=True)
class Merged:
    """How many rows of an anonymous session were moved to an account."""

    swipes: int
    clicks: int
    views: int
    assessments: int


async def merge(services: Services, claims: Claims, refresh_token: str | None) -> Merged:
    """Moves all data of an anonymous session to the caller's account, in one transaction; idempotent, with the same
    counts. The newer signal of a product wins. The proof is a refresh token of the session: every server on the way
    sees an access token, which must not be enough to take the data for good.

    Raises Unauthenticated without a token, Invalid for a caller without an account, without a refresh token or with an
    account's, InvalidCredentials for one that is not valid, LimitReached when both stored too much today, Conflict when
    another account has the session.
    """
    if claims.subject is None:
        raise Unauthenticated("Sign in to the account first.")
    if claims.role != "authenticated" or claims.is_anonymous:
        raise Invalid("The caller must be signed in to an account.")
    path = ("refreshToken",)
    if refresh_token is None:
        raise Invalid("Send `refreshToken` of the anonymous session: an access token is not accepted.", path)
    await sessions.refuse_ended(services, claims)
    token = services.refresh_tokens.read(refresh_token)
    visitor = await _unmerged(services, token) if token is not None else None
    undo = await services.storage_use.take_over(visitor, claims) if visitor is not None else None
    try:
        merged = await _merge(services, claims.subject, token) if token is not None else None
        if merged is None:
            raise InvalidCredentials("The refresh token is not valid.", path)
    except BaseException:
        if undo is not None:
            undo()
        raise
    return merged


async def _unmerged(services: Services, token: RefreshToken) -> UUID | None:
    """The anonymous profile of a refresh token, if it is not merged yet."""
    async with services.database.session(SERVICE, read_only=False) as session:  # it locks the session
        visitor = await session.fetchrow("session_merges.of_session", session_id=token.session_id)
        known = await sessions.of_token(session, services, token.session_id, token.hash)
    if visitor is None or visitor["is_merged"] or known is None or not known["is_anonymous"]:
        return None
    profile: UUID = visitor["session_profile_id"]
    return profile if known["is_live"] or known["is_repeatable"] else None


async def _merge(services: Services, account: UUID, token: RefreshToken) -> Merged | None:
    """None if the token is not accepted. Raises what `merge` raises."""
    path = ("refreshToken",)
    async with services.database.session(service_for(account), read_only=False) as session:
        visitor = await session.fetchrow("session_merges.of_session", session_id=token.session_id)
        if visitor is None:
            return None
        for person in sorted((account, visitor["session_profile_id"])):
            await session.fetch("swipes.lock", user_id=person)
        # Locked by now: a concurrent merge of the session has finished, and this is what remains.
        visitor = await session.fetchrow("session_merges.of_session", session_id=token.session_id)
        if visitor is None:
            return None
        if visitor["is_merged"]:
            known = await sessions.of_token(session, services, token.session_id, token.hash)
            if known is None or not (known["is_live"] or known["is_repeatable"]):
                return None
        else:
            known = await sessions.present(session, services, token)
            if known is None:
                return None
            if not known["is_anonymous"]:
                raise Invalid("This is not the refresh token of an anonymous session.", path)
        row = await session.fetchrow("session_merges.merge", session=visitor["session_profile_id"])
        assert row is not None
        match row["outcome"]:
            case "no account":
                raise Invalid("The caller must be signed in to an account.")
            case "elsewhere":
                raise Conflict("This session was merged into another account.", path)
            case "unknown":
                return None
        merged = Merged(row["swipes"], row["clicks"], row["views"], row["assessments"])
        if visitor["is_merged"]:  # a repeat: all that follows was done
            return merged
        # Either may have withdrawn a consent under which the other's rows were stored.
        await session.fetch("consents.forget_withdrawn")
        session.note_change("preferences", str(account))
        await personality.recombine(session, account)
    return merged
