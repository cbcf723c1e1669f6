"""Suggestions for a search box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

import strawberry

from resolvers import suggestions
from resolvers.suggestions import DEFAULT_SUGGESTIONS, MAX_SUGGESTIONS
from schema.brands import Brand
from schema.categories import Category
from schema.context import Info
from schema.node import RowNode
from schema.products import Product

T = TypeVar("T", bound=RowNode)


@strawberry.type(
    description="What a typed text may become: each word of the text begins a word of what is suggested, whatever "
    "case, accents and script. Nothing for a text without letters and digits."
)
class Suggestions:
    prefix: strawberry.Private[str]
    size: strawberry.Private[int]

    @strawberry.field(description="Products by their name, most popular first.")
    async def products(self, info: Info) -> list[Product]:
        found = await suggestions.products(info.context.session, self.prefix, self.size)
        return await _rows(info, Product, found)

    @strawberry.field(description="Brands that have products, those with the most first.")
    async def brands(self, info: Info) -> list[Brand]:
        return await _rows(info, Brand, await suggestions.named(info.context.session, "brand", self.prefix, self.size))

    @strawberry.field(description="Categories that have products, those with the most first.")
    async def categories(self, info: Info) -> list[Category]:
        found = await suggestions.named(info.context.session, "category", self.prefix, self.size)
        return await _rows(info, Category, found)

    @strawberry.field(description="Tags of products, the most frequent first; for `tags` of a filter.")
    async def tags(self, info: Info) -> list[str]:
        return await suggestions.tags(info.context.session, self.prefix, self.size)


async def _rows(info: Info, cls: type[T], keys: Sequence[UUID]) -> list[T]:
    loader = info.context.session.loaders.one_by(cls.ROW, "id")
    return [row for row in await loader.load_many(list(keys)) if row is not None]


@strawberry.type
class SuggestionQuery:
    @strawberry.field(
        description="Completes what is being typed into a search box; `first` of each kind, at most "
        f"{MAX_SUGGESTIONS}. A prefix has at most {suggestions.MAX_PREFIX_LENGTH} characters."
    )
    def suggest(self, prefix: str, first: int = DEFAULT_SUGGESTIONS) -> Suggestions:
        suggestions.check(prefix, first)
        return Suggestions(prefix=prefix, size=first)
