"""Experiments: which arm a person is in, and that they saw it. The server assigns: no client chooses its arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from db.session import Session
from domain.errors import Invalid, NotFound
from domain.experiments import Experiment
from resolvers.profiles import require_subject
from services.services import Services


@dataclass(frozen=True, slots=True)
class Assignment:
    """`arm` is the arm's number, `parameters` what it overrides of a model's."""

    key: str
    name: str
    arm: int
    parameters: Mapping[str, Any]


async def assigned(session: Session, services: Services, surface: str) -> Assignment | None:
    """The caller's arm of the experiment that runs on a surface; None without one, or for callers without a token."""
    if session.claims.subject is None:
        return None
    for experiment in await services.experiments.running(session):
        if experiment.surface == surface:
            return _assignment(session, experiment)
    return None


async def find(session: Session, services: Services, key: str) -> Assignment | None:
    """The caller's arm of a running experiment; None if there is none, or the caller is not in it. Stores nothing."""
    experiment = await _running(session, services, key)
    return None if experiment is None else _assignment(session, experiment)


async def record_exposure(session: Session, services: Services, key: str) -> Assignment | None:
    """Stores that the caller saw their arm, the first time; None if they are not in the experiment. Raises NotFound if
    it does not run, Invalid if it is one of those whose exposure follows from impressions."""
    require_subject(session)
    experiment = await _running(session, services, key)
    if experiment is None:
        raise NotFound("No such experiment is running.", ("key",))
    if experiment.surface is not None:
        raise Invalid("The exposure to this experiment follows from recordImpressions.", ("key",))
    found = _assignment(session, experiment)
    if found is None:
        session.stored_part = 0
    else:
        async with session.as_service():
            await expose(session, [(found.arm, datetime.now(UTC))])
    return found


async def expose(session: Session, seen: Sequence[tuple[int, datetime]]) -> None:
    """As service_role: stores that the caller saw these arms at these times, the first per experiment."""
    if seen:
        await session.fetch(
            "experiments.expose",
            user_id=session.claims.subject,
            arms=[arm for arm, _ in seen],
            ats=[at for _, at in seen],
        )


async def _running(session: Session, services: Services, key: str) -> Experiment | None:
    return next((e for e in await services.experiments.running(session) if e.key == key), None)


def _assignment(session: Session, experiment: Experiment) -> Assignment | None:
    subject = session.claims.subject
    arm = None if subject is None else experiment.arm_of(subject)
    return None if arm is None else Assignment(experiment.key, arm.name, arm.number, arm.parameters)
