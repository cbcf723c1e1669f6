"""Granting and revoking the roles admin, analyst and finance, for administrators."""

from __future__ import annotations

from typing import Any, Self

import strawberry

from domain import ids
from resolvers import roles
from schema.context import Info
from schema.errors import UserError, outcome, user_errors


def _password() -> Any:
    return strawberry.field(
        default=None,
        description="The caller's password; not needed within 10 minutes of signing in, or with a second factor.",
    )


@strawberry.input(description="A role to grant.")
class GrantRoleInput:
    email: str = strawberry.field(description="The account's e-mail, which must be verified. Case does not matter.")
    role: str = strawberry.field(
        description="`admin`, `analyst` or `finance`. A person has one role: it replaces another."
    )
    password: str | None = _password()


@strawberry.input(description="A role to revoke.")
class RevokeRoleInput:
    email: str = strawberry.field(description="The account's e-mail. Case does not matter.")
    role: str = strawberry.field(
        description="`admin`, `analyst` or `finance`. Nothing changes if the person does not have it."
    )
    password: str | None = _password()


@strawberry.type
class _RolePayload:
    person_id: strawberry.ID | None = strawberry.field(default=None, description="The person's profile.")
    role: str | None = strawberry.field(default=None, description="The role that the person has now; null for none.")
    user_errors: list[UserError] = user_errors()

    @classmethod
    async def of(cls, info: Info, input: GrantRoleInput | RevokeRoleInput, *, is_granted: bool) -> Self:
        """Grants or revokes the role. Raises what roles.change raises."""
        context = info.context
        change = await roles.change(
            context.services,
            context.caller,
            context.claims,
            email=input.email,
            role=input.role,
            password=input.password,
            is_granted=is_granted,
        )
        return cls(person_id=strawberry.ID(ids.encode("Profile", change.person_id)), role=change.role)


@strawberry.type(description="The outcome of granting a role.")
class GrantRolePayload(_RolePayload):
    pass


@strawberry.type(description="The outcome of revoking a role.")
class RevokeRolePayload(_RolePayload):
    pass


@strawberry.type
class RoleMutation:
    @strawberry.mutation(
        description="Makes a person admin, analyst or finance; idempotent. It takes effect with the person's next "
        "access token. For administrators, who must have shown their second factor if they have one."
    )
    @outcome(GrantRolePayload)
    async def grant_role(self, info: Info, input: GrantRoleInput) -> GrantRolePayload:
        return await GrantRolePayload.of(info, input, is_granted=True)

    @strawberry.mutation(
        description="Revokes a person's role; idempotent. Existing access tokens keep it until they expire, in 15 "
        "minutes or less. The last admin cannot be revoked. For administrators, like grantRole."
    )
    @outcome(RevokeRolePayload)
    async def revoke_role(self, info: Info, input: RevokeRoleInput) -> RevokeRolePayload:
        return await RevokeRolePayload.of(info, input, is_granted=False)
