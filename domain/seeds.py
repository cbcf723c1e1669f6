"""Generates people, products and swipes for tests and benchmarks: a pure function of the seed and the counts.

Each chunk of rows has its own random generator, seeded by seed, kind and chunk, so the rows do not depend on the number
of processes. Times go backwards from `until`: products and people are older than every swipe.
"""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.personality import TRAITS

CHUNK = 50_000
SWIPING_DAYS = 180
EXTERNAL_PREFIX = "seed"

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # that of Postgres's binary timestamps
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FINISHES = (
    "amber", "ash grey", "birch", "brick red", "charcoal", "chalk white", "cherry", "clay", "cobalt", "copper",
    "coral", "cream", "dove grey", "elm", "fern", "forest green", "harbour blue", "heather", "honey", "indigo", "ivory",
    "juniper", "lavender", "linen", "maple", "midnight", "moss", "mustard", "natural", "oatmeal", "ochre", "olive",
    "plum", "rust", "sage", "sand", "slate", "teal", "walnut", "willow",
)  # fmt: skip
_EDITIONS = (
    "Anniversary Edition", "Big Box", "Bundle of Two", "Classic", "Collector's Edition", "Compact", "Deluxe",
    "Everyday", "Family Size", "Gift Set", "Gift Wrapped", "Large", "Limited Run", "Medium", "Mini", "Pocket Size",
    "Refill Pack", "Second Series", "Signature", "Small", "Starter Kit", "Travel Size", "Weekend", "Workshop",
)  # fmt: skip
_GIVEN = (
    "Ada", "Amir", "Bea", "Callum", "Dara", "Edith", "Femi", "Gwen", "Hana", "Idris", "Jools", "Kit", "Leila", "Mabel",
    "Nia", "Oscar", "Priya", "Quinn", "Rosa", "Sam", "Tove", "Uma", "Vik", "Wren", "Yusuf", "Zoe",
)  # fmt: skip
# Distribution of directions: slightly more dislikes than likes.
_DIRECTIONS = (("left", 0.45), ("right", 0.40), ("up", 0.07), ("down", 0.08))
UNDONE_SHARE = 0.01
QUIZ_SHARE = 0.4
ANONYMOUS_SHARE = 0.35


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """What to generate. Another seed gives other rows with other ids, which can be added to the same database."""

    users: int
    products: int
    swipes: int
    seed: int
    until: datetime

    def rng(self, *name: object) -> random.Random:
        """The generator of one kind of rows."""
        return random.Random("/".join(map(str, (self.seed, *name))))  # noqa: S311  nothing secret

    def ids(self, kind: str) -> list[UUID]:
        """The ids of all users or products, oldest first."""
        count, days = (self.users, 180) if kind == "users" else (self.products, 360)
        rng = self.rng(kind, "ids")
        begin = _milliseconds(self.until - timedelta(days=SWIPING_DAYS + days))
        span = days * 86_400_000
        return [UUID(bytes=uuid_v7(rng, begin + span * position // max(count, 1))) for position in range(count)]


def _milliseconds(at: datetime) -> int:
    return (at - _UNIX_EPOCH) // timedelta(milliseconds=1)


def uuid_v7(rng: random.Random, milliseconds: int) -> bytes:
    """The 16 bytes of a UUIDv7 with this timestamp."""
    bits = rng.getrandbits(74)
    return (milliseconds << 80 | 7 << 76 | bits >> 62 << 64 | 2 << 62 | bits & (1 << 62) - 1).to_bytes(16, "big")


def time_of(key: UUID) -> datetime:
    """The timestamp of a UUIDv7."""
    return _UNIX_EPOCH + timedelta(milliseconds=key.int >> 80)


@dataclass(frozen=True, slots=True)
class Model:
    """A product of the demo catalogue, from which generated ones are derived; the ids are those of this database."""

    name: str
    description: str
    category_id: UUID
    brand_id: UUID | None
    retailer_id: UUID
    price_minor: int
    tags: tuple[str, ...]
    url: str


PRODUCT_COLUMNS = (
    "id", "name", "description", "price_minor", "currency", "tags", "in_stock", "is_active", "brand_id", "category_id",
    "retailer_id", "external_id", "affiliate_url", "feed_popularity", "popularity", "created_at", "updated_at",
)  # fmt: skip


def products(plan: SeedPlan, models: Sequence[Model]) -> Iterator[tuple[object, ...]]:
    """Variants of the models, with their words, tags and categories, and prices around theirs."""
    rng = plan.rng("products")
    for position, key in enumerate(plan.ids("products")):
        model = models[rng.randrange(len(models))]
        other = models[rng.randrange(len(models))]
        finish, edition = rng.choice(_FINISHES), rng.choice(_EDITIONS)
        tags = tuple(dict.fromkeys((*model.tags, other.tags[0]) if rng.random() < 0.3 else model.tags))
        price = max(100, round(model.price_minor * rng.lognormvariate(0, 0.35) / 50) * 50 - 1)
        popularity = round(rng.betavariate(4, 4), 3)
        at = time_of(key)
        yield (
            key, f"{model.name}, {edition} in {finish}", f"{model.description} In {finish}.", price,
            rng.choices(("GBP", "EUR", "USD"), (90, 6, 4))[0], tags, rng.random() < 0.95, rng.random() < 0.97,
            model.brand_id, model.category_id, model.retailer_id, f"{EXTERNAL_PREFIX}-{plan.seed}-{position}",
            f"{model.url}{'&' if '?' in model.url else '?'}variant={position}", popularity, popularity, at, at,
        )  # fmt: skip


PROFILE_COLUMNS = ("id", "is_anonymous", "email", "display_name", "created_at", "updated_at")


def profiles(plan: SeedPlan) -> Iterator[tuple[UUID, bool, str | None, str | None, datetime, datetime]]:
    """People: anonymous sessions, and accounts whose addresses nobody can have."""
    rng = plan.rng("profiles")
    for position, key in enumerate(plan.ids("users")):
        at = time_of(key)
        if rng.random() < ANONYMOUS_SHARE:
            yield key, True, None, None, at, at
        else:
            yield key, False, f"{position}.{plan.seed}@seed.invalid", rng.choice(_GIVEN), at, at


@dataclass(frozen=True, slots=True)
class Assessment:
    """A person's quiz: as a personality, and as an entry of its history."""

    id: UUID
    user_id: UUID
    scores: dict[str, float]
    primary: str
    secondary: list[str]
    confidence: float
    at: datetime


def assessments(plan: SeedPlan) -> Iterator[Assessment]:
    """The quiz of a share of the people."""
    rng = plan.rng("assessments")
    for user in plan.ids("users"):
        scores = {trait: round(min(100.0, max(0.0, rng.gauss(50, 24))) * 8) / 8 for trait in TRAITS}
        at = time_of(user) + timedelta(minutes=5)
        key = UUID(bytes=uuid_v7(rng, _milliseconds(at)))
        confidence = round(rng.uniform(0.4, 0.98), 4)
        if rng.random() < QUIZ_SHARE:
            primary, *others = sorted(TRAITS, key=lambda trait: -scores[trait])
            secondary = [trait for trait in others if scores[trait] >= 60]
            yield Assessment(key, user, scores, primary, secondary, confidence, at)


SWIPE_COLUMNS = ("user_id", "id", "client_swipe_id", "product_id", "direction", "created_at", "undone_at")
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
COPY_TRAILER = struct.pack(">h", -1)
_HEAD = struct.Struct(">hi16si16si16si16s")
_TIMES = struct.Struct(">iqi")
_TIMES_UNDONE = struct.Struct(">iqiq")


class Swipes:
    """Swipes in the binary form of COPY, chunk by chunk, in the order of their times.

    Swipes per person are log-normal; the frequency of products follows their rank (Zipf, exponent 0.8).
    """

    def __init__(self, plan: SeedPlan) -> None:
        self._plan = plan
        self._users = [key.bytes for key in plan.ids("users")]
        self._products = [key.bytes for key in plan.ids("products")]
        plan.rng("ranks").shuffle(self._products)
        rng = plan.rng("activity")
        activity = [rng.lognormvariate(0, 1.1) for _ in self._users]
        self._of_users = list(itertools.accumulate(activity))
        self._of_products = list(itertools.accumulate((rank + 5) ** -0.8 for rank in range(len(self._products))))
        self._directions = [struct.pack(">i", len(name)) + name.encode() for name, _ in _DIRECTIONS]
        self._of_directions = list(itertools.accumulate(share for _, share in _DIRECTIONS))

    def chunk(self, number: int) -> bytes:
        """The rows of one chunk, without header and trailer."""
        plan = self._plan
        first = number * CHUNK
        count = min(CHUNK, plan.swipes - first)
        rng = plan.rng("swipes", number)
        span = SWIPING_DAYS * 86_400_000
        begin = _milliseconds(plan.until) - span
        between = (_EPOCH - _UNIX_EPOCH) // timedelta(milliseconds=1)
        users = rng.choices(self._users, cum_weights=self._of_users, k=count)
        shown = rng.choices(self._products, cum_weights=self._of_products, k=count)
        ways = rng.choices(self._directions, cum_weights=self._of_directions, k=count)
        parts = []
        for offset in range(count):
            at = begin + span * (first + offset) // plan.swipes
            key = uuid_v7(rng, at)
            micros = (at - between) * 1000
            client = b"%016x" % (plan.seed << 40 & (1 << 64) - 1 | first + offset)
            parts.append(_HEAD.pack(7, 16, users[offset], 16, key, 16, client, 16, shown[offset]))
            parts.append(ways[offset])
            if rng.random() < UNDONE_SHARE:
                parts.append(_TIMES_UNDONE.pack(8, micros, 8, micros + 4_000_000))
            else:
                parts.append(_TIMES.pack(8, micros, -1))
        return b"".join(parts)
