"""Simulates people's use, in a transaction that is rolled back: what each role can write, read and not read.

The owner creates three people and a product, then switches to a role with the claims of one of them, and tries.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import asyncpg

from db import claims as claims_module
from db.claims import ANONYMOUS, SERVICE, Claims, service_for
from db.verification.check import STATEMENT_TIMEOUT_MS, Bench, Check
from db.verification.stage import Stage, person, played

_MIGRATE = "run `aclue migrate`; compare sql/policies/ with the policies of the table"


def faults(**found: bool) -> list[str]:
    """The names of all conditions that are true."""
    return [name.replace("_", " ") for name, is_fault in found.items() if is_fault]


async def _swipes_of(stage: Stage, who: Claims, user: UUID) -> list[str]:
    await stage.switch_claims(who)
    strengths = [
        await stage.do("strength", swipe=await stage.swipe(direction)) for direction in ("left", "right", "up", "down")
    ]
    return faults(
        a_swipe_cannot_be_read_back=await stage.count("swipes", user) != 4,
        directions_do_not_have_their_strength=[s if s is None else round(s, 2) for s in strengths]
        != [0.2, 0.8, 0.95, None],
        a_swipe_cannot_be_undone=not await stage.do("undo", user=user),
    )


async def _account(stage: Stage) -> list[str]:
    return await _swipes_of(stage, person(stage.anna), stage.anna)


async def _anonymous_session(stage: Stage) -> list[str]:
    return await _swipes_of(stage, person(stage.visitor, "anon", is_anonymous=True), stage.visitor)


async def _isolation(stage: Stage) -> list[str]:
    await stage.switch_claims(person(stage.anna))
    await stage.swipe()
    await stage.switch_claims(person(stage.ben))
    return faults(
        another_person_sees_a_swipe=await stage.count("swipes", stage.anna) > 0,
        another_person_changes_a_swipe=bool(await stage.do("undo", user=stage.anna)),
        another_person_sees_a_profile=await stage.count("profiles", stage.anna) > 0,
    )


async def _service(stage: Stage) -> list[str]:
    for user in (stage.anna, stage.ben):
        await stage.switch_claims(person(user))
        await stage.swipe()
    await stage.switch_claims(SERVICE)
    seen = [await stage.count("swipes", user) for user in (stage.anna, stage.ben)]
    return [] if seen == [1, 1] else ["service_role does not see everybody's swipes"]


async def _no_claims(stage: Stage) -> list[str]:
    await stage.switch_claims(person(stage.anna))
    await stage.swipe()
    await stage.switch_claims(ANONYMOUS)
    anonymous = await stage.count("swipes", stage.anna)
    can_write = not await stage.is_refused("swipe", key="nobody", product=stage.product, direction="right")
    await stage.switch_claims(Claims(role="authenticated", raw=""))
    return faults(
        somebody_without_claims_sees_a_swipe=anonymous + await stage.count("swipes", stage.anna) > 0,
        somebody_without_claims_swipes=can_write,
    )


async def _malformed_claims(stage: Stage) -> list[str]:
    await stage.switch_claims(person(stage.anna))
    await stage.swipe()
    for raw in ("{sub:", '{"sub":"anna"}', "[]", "null"):
        with contextlib.suppress(asyncpg.DataError):
            async with stage.connection.transaction():
                await stage.switch_claims(Claims(role="authenticated", raw=raw))
                if await stage.count("swipes", stage.anna):
                    return [f"the claims {raw} see a swipe"]
    return []


async def _forgery(stage: Stage) -> list[str]:
    await stage.switch_claims(person(stage.anna))
    await stage.swipe()
    return faults(
        a_swipe_can_be_written_for_another=not await stage.is_refused(
            "swipe_for", user=stage.ben, key=stage.key, product=stage.product
        ),
        a_swipe_can_be_given_to_another=not await stage.is_refused("give_swipe", user=stage.ben),
    )


async def _history(stage: Stage) -> list[str]:
    await stage.switch_claims(person(stage.anna))
    await stage.swipe()
    return faults(
        the_direction_of_a_swipe_can_be_changed=not await stage.is_refused("turn_swipe"),
        a_swipe_can_be_deleted=not await stage.is_refused("delete_swipes"),
        signals_can_be_made_up=not await stage.is_refused("make_up_signal", product=stage.product),
    )


async def _clicks(stage: Stage) -> list[str]:
    await stage.switch_claims(person(stage.anna))
    by_hand = not await stage.is_refused("click_by_hand", product=stage.product)
    click = await stage.do("click", product=stage.product)
    own = await stage.count("affiliate_clicks", stage.anna)
    can_change = not await stage.is_refused("change_click")
    can_delete = not await stage.is_refused("delete_clicks")
    await stage.switch_claims(person(stage.ben))
    others = await stage.count("affiliate_clicks", stage.anna)
    await stage.switch_claims(SERVICE)
    return faults(
        a_click_can_be_written_by_hand=by_hand,
        a_click_cannot_be_made=click is None or own != 1,
        a_click_can_be_changed=can_change,
        a_click_can_be_deleted=can_delete,
        another_person_sees_a_click=others > 0,
        a_click_does_not_have_the_prices_of_the_catalogue=not await stage.do("is_click_right", click=click),
    )


async def _catalogue(stage: Stage) -> list[str]:
    found: dict[str, bool] = {}
    for label, who in (("anon", ANONYMOUS), ("a_person", person(stage.anna))):
        await stage.switch_claims(who)
        found[f"{label}_does_not_see_products"] = not await stage.do("sees_product", product=stage.product)
        found[f"{label}_changes_products"] = not await stage.is_refused(
            "rename_product", product=stage.product
        ) and bool(await stage.do("rename_product", product=stage.product))
    await stage.switch_claims(person(stage.ben, app_metadata={"role": "admin"}))
    found["an_administrator_cannot_change_products"] = not await stage.do("rename_product", product=stage.product)
    return faults(**found)


async def _profile(stage: Stage) -> list[str]:
    await stage.switch_claims(person(stage.anna))
    renamed = await stage.do("rename")
    return faults(
        one_cannot_name_oneself=renamed is None,
        updated_at_is_not_stamped=renamed is not None and not renamed,
        one_can_take_an_email_address=not await stage.is_refused("take_email", key=stage.key),
    )


async def _views(stage: Stage) -> list[str]:
    await stage.switch_claims(person(stage.anna))
    partition = await stage.do("view", product=stage.product)
    old = not await stage.is_refused("old_view", product=stage.product)
    return faults(
        a_view_cannot_be_read_back=await stage.count("product_views", stage.anna) != 1,
        a_view_lies_in_the_default_partition=partition.endswith("_default"),
        a_view_of_long_ago_is_taken=old,
    )


async def _preferences(stage: Stage) -> list[str]:
    await stage.switch_claims(person(stage.anna))
    for direction in ("right", "left"):
        await stage.swipe(direction)
    counted = await stage.do("prefer", user=stage.anna)
    await stage.switch_claims(person(stage.ben))
    return faults(
        preferences_do_not_follow_swipes=counted != [2, 1],
        another_person_sees_preferences=await stage.count("user_preferences", stage.anna) > 0,
    )


async def _sessions(stage: Stage) -> list[str]:
    await stage.switch_claims(person(stage.anna))
    by_hand = not await stage.is_refused("session_by_hand")
    await stage.switch_claims(SERVICE)
    await stage.do("session", user=stage.anna)
    seen = {}
    for name in ("anna", "ben"):
        await stage.switch_claims(person(getattr(stage, name)))
        seen[name] = [await stage.count(table, stage.anna) for table in ("user_sessions", "session_analytics")]
    return faults(
        a_session_can_be_written_by_hand=by_hand,
        one_does_not_see_ones_own_session=seen["anna"] != [1, 1],
        another_person_sees_a_session=seen["ben"] != [0, 0],
    )


async def _personality(stage: Stage) -> list[str]:
    await stage.switch_claims(person(stage.anna))
    by_hand = not await stage.is_refused("assess")
    await stage.switch_claims(service_for(stage.anna))
    profile = await stage.do("assess")
    await stage.do("recommend_by_personality", product=stage.product, profile=profile)
    recommendation = await stage.do("recommend", product=stage.product)
    await stage.switch_claims(person(stage.anna))
    feedback = await stage.do("rate", recommendation=recommendation, product=stage.product)
    tables = ("personality_profiles", "personality_recommendations", "recommendation_feedback")
    own = [await stage.count(table, stage.anna) for table in tables]
    await stage.switch_claims(person(stage.ben))
    others = [await stage.count(table, stage.anna) for table in tables]
    return faults(
        a_personality_can_be_written_by_hand=by_hand,
        ones_own_personality_cannot_be_read_back=own != [1, 1, 1] or feedback is None,
        another_person_sees_a_personality=others != [0, 0, 0],
    )


async def _summary(stage: Stage) -> list[str]:
    for user, swipes in ((stage.anna, 2), (stage.ben, 1)):
        await stage.switch_claims(person(user))
        for _ in range(swipes):
            await stage.swipe()
    await stage.switch_claims(person(stage.anna))
    return faults(the_summary_counts_wrong=await stage.do("summary") != 2)


async def _erasure(stage: Stage) -> list[str]:
    await stage.switch_claims(person(stage.anna))
    await stage.swipe()
    await stage.do("click", product=stage.product)
    await stage.do("view", product=stage.product)
    await stage.switch_claims(None)
    await stage.do("erase", user=stage.anna)
    tables = ("swipes", "affiliate_clicks", "user_preferences", "product_views", "profiles")
    return [f"{table} keeps rows" for table in tables if await stage.count(table, stage.anna)]


async def _strangers(bench: Bench) -> list[str]:
    """Personal tables that show a row to a person who has none, or to a caller without claims."""
    found = []
    callers = {"a stranger": person(uuid4()), "an anonymous stranger": person(uuid4(), "anon"), "anon": ANONYMOUS}
    tables = await bench.rows("verify_security.personal_tables")
    await bench.api.execute("set local enable_seqscan = off")  # every lookup has an index; no table is read in full
    for table in tables:
        for label, who in callers.items():
            if not table[f"is_for_{who.role}"]:
                continue
            await claims_module.apply(bench.api, who, STATEMENT_TIMEOUT_MS)
            if await bench.api.fetchval(f"select exists (select from {table['name']})"):
                found.append(f"{label} sees a row of {table['name']}")
    return found


async def _bare_login(bench: Bench) -> list[str]:
    found = []
    for table in await bench.rows("verify_security.personal_tables"):
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
            async with bench.api.transaction():
                await bench.api.execute(f"select from {table['name']} limit 1")
                found.append(f"the log-in itself reads {table['name']}")
    return found


def _scene(name: str, proves: str, scene: Callable[[Stage], Awaitable[list[str]]]) -> Check:
    return Check(f"people.{name}", proves, _MIGRATE, played(scene), needs_owner=True)


CHECKS = (
    Check("people.strangers", "a stranger sees no row of any person in any table", _MIGRATE, _strangers),
    Check("people.bare_login", "the API's log-in reads nothing before it switches to a role", _MIGRATE, _bare_login),
    _scene("account", "an account writes and reads its swipes", _account),
    _scene("anonymous_session", "an anonymous session writes and reads its swipes, too", _anonymous_session),
    _scene("isolation", "nobody sees or changes another's rows", _isolation),
    _scene("service_role", "service_role sees everybody's rows", _service),
    _scene("no_claims", "without claims nothing is seen or written", _no_claims),
    _scene("malformed_claims", "malformed claims see nothing", _malformed_claims),
    _scene("forgery", "nobody writes rows for another person", _forgery),
    _scene("history", "past events cannot be changed", _history),
    _scene("clicks", "clicks are created by their function, with the catalogue's prices", _clicks),
    _scene("catalogue", "everybody reads the catalogue, administrators write products", _catalogue),
    _scene("profile", "a person can change their name, not their e-mail; updated_at follows", _profile),
    _scene("views", "a view is stored in its month's partition", _views),
    _scene("preferences", "preferences follow from swipes, and are read by their person alone", _preferences),
    _scene("sessions", "sessions are written by the service and seen by their person", _sessions),
    _scene(
        "personality",
        "personality is written by the service, feedback by the person; all is read back",
        _personality,
    ),
    _scene("summary", "the analytics summary counts only the caller's own rows", _summary),
    _scene("erasure", "a person's rows are deleted with the person", _erasure),
)
