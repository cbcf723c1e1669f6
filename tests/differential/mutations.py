"""Generates random mutations from the schema, and queries between them that see their effects."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from graphql import GraphQLSchema

from tests.differential.documents import Document, query
from tests.differential.selections import Writer
from tests.differential.world import World

# What changes passwords, tokens and sessions is compared by its own tests: its answers are secrets of the moment.
WEIGHTS = {
    "recordSwipe": 4,
    "recordSwipes": 3,
    "undoSwipe": 2,
    "updateProfile": 3,
    "submitQuiz": 1,
    "saveQuizAnswers": 1,
    "createAffiliateClick": 3,
    "createGiftLink": 3,
    "revokeGiftLink": 2,
    "dismissReason": 2,
    "restoreReason": 1,
    "sendRecommendationFeedback": 3,
    "updateConsents": 2,
    "recordProductViews": 1,
    "recordEvents": 1,
    "recordImpressions": 1,
    "recordExposure": 0.5,
    "updateProduct": 1,
    "createProduct": 1,
    "createBrand": 0.5,
    "updateBrand": 1,
    "createCategory": 0.5,
    "updateCategory": 1,
    "createRetailer": 0.5,
    "updateRetailer": 1,
    "revokeSession": 0.1,
    "requestPasswordReset": 0.1,
    "deleteMyAccount": 0.05,
}
# Nearly all callers are refused these.
OF_ADMINISTRATORS = {
    "createOffer": 0.5,
    "updateOffer": 1,
    "mergeProducts": 0.5,
    "splitProduct": 0.5,
    "createNetwork": 0.3,
    "updateNetwork": 0.5,
    "matchConversion": 0.5,
    "adjustConversion": 0.7,
    "holdConversion": 0.5,
    "releaseConversion": 0.5,
    "acceptException": 0.5,
    "declineException": 0.5,
}
_QUERIES = 0.3


def mutations(schema: GraphQLSchema, world: World, seed: int, count: int) -> Iterator[Document]:
    """So many documents; three of ten are queries."""
    for number in range(count):
        random = Random(f"{seed}/mutation/{number}")
        yield query(schema, world, random) if random.random() < _QUERIES else _mutation(schema, world, random)


def _mutation(schema: GraphQLSchema, world: World, random: Random) -> Document:
    caller = random.choices(world.callers, [caller.weight for caller in world.callers])[0]
    if caller.name in ("nobody", "service") and random.random() < 0.8:
        caller = next(caller for caller in world.callers if caller.name == "anna")
    writer = Writer(schema, world, caller, random, "M")
    root = schema.mutation_type
    assert root is not None
    weights = {
        **WEIGHTS,
        **{name: weight if caller.may_administer else 0.02 for name, weight in OF_ADMINISTRATORS.items()},
        "updateProduct": 3 if caller.may_administer else 0.2,
        "createProduct": 1 if caller.may_administer else 0.1,
    }
    names = random.choices(list(weights), list(weights.values()), k=random.choice([1, 1, 1, 2, 3]))
    for name in names:
        writer.add_root(root, name, random.randint(2, 5))
    return Document(writer.text("mutation", random.choice(["", "M"])), caller.name, writer.variables)
