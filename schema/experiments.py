"""Experiments of front ends."""

from __future__ import annotations

import strawberry

from resolvers import experiments
from resolvers.experiments import Assignment
from schema.context import Info
from schema.errors import Stores, UserError, outcome, user_errors


@strawberry.type(description="The caller's arm of an experiment.")
class ExperimentAssignment:
    key: str = strawberry.field(description="The experiment's key.")
    arm: str = strawberry.field(description="The arm's name, the same as long as the experiment runs.")

    @classmethod
    def of(cls, found: Assignment) -> ExperimentAssignment:
        return cls(key=found.key, arm=found.name)


@strawberry.type
class ExperimentQuery:
    @strawberry.field(
        description="The caller's arm of a running experiment; null if there is no such experiment, for people who are "
        "not in it, and without a token. Stores nothing: see `recordExposure`."
    )
    async def experiment(self, info: Info, key: str) -> ExperimentAssignment | None:
        found = await experiments.find(info.context.session, info.context.services, key)
        return ExperimentAssignment.of(found) if found else None


@strawberry.input(description="An arm that was shown.")
class RecordExposureInput:
    key: str = strawberry.field(description="The experiment's key.")


@strawberry.type(description="The outcome of recording an exposure.")
class RecordExposurePayload:
    assignment: ExperimentAssignment | None = strawberry.field(
        default=None, description="The caller's arm; null if the caller is not in the experiment."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class ExperimentMutation:
    @strawberry.mutation(
        description="Records that the caller saw their arm of a front end's experiment. The server says which; the "
        "first time counts. Stores nothing without consent to analytics."
    )
    @outcome(RecordExposurePayload, stores=Stores(row=200))
    async def record_exposure(self, info: Info, input: RecordExposureInput) -> RecordExposurePayload:
        found = await experiments.record_exposure(info.context.session, info.context.services, input.key)
        return RecordExposurePayload(assignment=ExperimentAssignment.of(found) if found else None)
