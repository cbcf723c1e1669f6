"""What a client of a network is: which streams it has, how long a window may be, and how one is fetched."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from domain.currencies import EXPONENTS
from domain.ledger.reports import Reading

if TYPE_CHECKING:
    from services.network_clients.api import Api


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` until `end`, in UTC."""

    start: datetime
    end: datetime

    @property
    def first_day(self) -> date:
        """The day of the start."""
        return self.start.date()

    @property
    def last_day(self) -> date:
        """The last day that has begun before the end."""
        return (self.end - timedelta(microseconds=1)).date()


@dataclass(frozen=True, slots=True)
class Stream:
    """What a network tells by one kind of date, which has a watermark of its own.

    `longest` is what one window may hold. `overlap` is how far behind the watermark a pull begins, for changes that
    come late; `history` is how far back the first pull begins. With `is_daily`, windows are whole days."""

    name: str
    longest: timedelta
    overlap: timedelta
    history: timedelta = timedelta(days=180)
    is_daily: bool = False

    def windows(self, start: datetime, until: datetime) -> Iterator[Window]:
        """The windows from `start` until `until`; of whole days, the last one ends with that day."""
        if self.is_daily:
            start = _midnight(start)
            until = _midnight(until) + timedelta(days=1)
        while start < until:
            end = min(start + self.longest, until)
            yield Window(start, end)
            start = end


def _midnight(at: datetime) -> datetime:
    return datetime.combine(at.astimezone(UTC).date(), time(), UTC)


@dataclass(frozen=True, slots=True)
class Account:
    """Our account at a network. `secrets` names the variables that hold them."""

    network: str
    name: str
    publisher_id: str
    base_url: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    mapping: str | None = None
    every_seconds: int | None = None

    @property
    def title(self) -> str:
        """What people know it by."""
        return f"{self.network}/{self.name}"


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of an account: its default (None: it must be given), and what is wrong with a value, if anything is."""

    default: str | None
    complaint: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many requests within so many seconds."""

    requests: int
    seconds: float


_VARIABLE = re.compile(r"SOURCE_[A-Z0-9_]{1,100}")
_PUBLISHER = re.compile(r"[A-Za-z0-9._-]{1,200}")

Fetch = Callable[["Api", Stream, Window], AsyncIterator[str]]
Reader = Callable[[str], Reading]


@dataclass(frozen=True, slots=True)
class Client:
    """A client of one network. `fetch` gives the texts of all answers of a window, or raises; `reader` is how an
    account reads them. `secrets` are the names of the secrets that each account has."""

    code: str
    base_url: str
    rate: Rate
    secrets: tuple[str, ...]
    streams: tuple[Stream, ...]
    fetch: Fetch
    reader: Callable[[Account], Reader]
    options: Mapping[str, Option] = field(default_factory=dict)
    needs_mapping: bool = False

    def option(self, account: Account, name: str) -> str:
        """The account's value of an option, or its default."""
        return account.options.get(name) or self.options[name].default or ""

    def complaints(self, account: Account) -> Iterator[str]:
        """What is wrong with the definition of an account."""
        if not _PUBLISHER.fullmatch(account.publisher_id):
            yield f"--publisher: {account.publisher_id!r} has other characters than letters, digits, - . and _"
        if account.base_url is not None and not _is_base(account.base_url):
            yield f"--url: {account.base_url!r} is not https://host/path"
        for name, variable in account.secrets.items():
            if not _VARIABLE.fullmatch(variable):
                yield f"--secret {name}: {variable!r} must be the name of a variable that begins with SOURCE_"
        for name in self.secrets:
            if name not in account.secrets:
                yield f"--secret {name}=VARIABLE is missing: {self.code} needs {', '.join(self.secrets)}"
        for name in account.secrets.keys() - set(self.secrets):
            yield f"--secret {name}: {self.code} has none of this name; it needs {', '.join(self.secrets)}"
        for name, option in self.options.items():
            value = account.options.get(name, option.default)
            if value is None:
                yield f"--option {name}=VALUE is missing"
            elif complaint := option.complaint(value):
                yield f"--option {name}: {complaint}"
        for name in account.options.keys() - self.options.keys():
            known = ", ".join(self.options) or "none"
            yield f"--option {name}: {self.code} has no such option; its options: {known}"
        if self.needs_mapping != (account.mapping is not None):
            yield f"--mapping: {self.code} {'needs one' if self.needs_mapping else 'is read without one'}"


def _is_base(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_usable and not set(url) & set("@?# ") and url.isprintable() and len(url) <= 500


def one_of(*values: str) -> Callable[[str], str | None]:
    """The check of an option that has few values."""
    return lambda value: None if value in values else f"{value!r} is none of {', '.join(values)}"


def whole_number(least: int, most: int) -> Callable[[str], str | None]:
    """The check of an option that is a whole number."""

    def complaint(value: str) -> str | None:
        if value.isascii() and value.isdecimal() and len(value) < 10 and least <= int(value) <= most:
            return None
        return f"{value!r} is no whole number from {least} to {most}"

    return complaint


def currency(value: str) -> str | None:
    """The check of an option that is a currency."""
    return None if value in EXPONENTS else f"{value!r} is no currency of ISO 4217"
