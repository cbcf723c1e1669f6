"""Prices of a product feed: amounts in the notation of the mapping, currencies by code or symbol, periods of sales."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from functools import lru_cache

from domain.currencies import EXPONENTS, WEAK
from domain.feed_values import BadValue, as_number, as_text
from domain.money import MAX_MINOR

# 10 million at two decimals. In minor units, so that it does not restrict the won.
MAX_PRICE_MINOR = 10**9
NOT_POSITIVE = "zero or negative"

# What a symbol may mean; if it means several, the mapping or the feed must say which.
_SYMBOLS = {
    "€": ("EUR",), "£": ("GBP", "EGP", "FKP", "GIP", "SHP", "SYP", "LBP"), "₹": ("INR",), "₽": ("RUB",), "₴": ("UAH",),
    "₺": ("TRY",), "₩": ("KRW",), "₫": ("VND",), "฿": ("THB",), "₪": ("ILS",), "₱": ("PHP",), "₦": ("NGN",),
    "₸": ("KZT",), "₾": ("GEL",), "₡": ("CRC",), "₲": ("PYG",), "₵": ("GHS",), "₼": ("AZN",), "₭": ("LAK",),
    "₮": ("MNT",), "R$": ("BRL",), "A$": ("AUD",), "C$": ("CAD",), "CA$": ("CAD",), "US$": ("USD",), "NZ$": ("NZD",),
    "HK$": ("HKD",), "S$": ("SGD",), "NT$": ("TWD",), "MX$": ("MXN",), "zł": ("PLN",), "Kč": ("CZK",), "Ft": ("HUF",),
    "lei": ("RON",), "лв": ("BGN",), "лв.": ("BGN",), "грн": ("UAH",), "грн.": ("UAH",), "руб": ("RUB",),
    "руб.": ("RUB",), "TL": ("TRY",), "¥": ("JPY", "CNY"), "￥": ("JPY", "CNY"), "円": ("JPY",), "元": ("CNY",),
    "원": ("KRW",), "R": ("ZAR",), "Rs": ("INR", "PKR", "LKR", "NPR", "MUR"),
    "Rs.": ("INR", "PKR", "LKR", "NPR", "MUR"),
    "Rp": ("IDR",), "RM": ("MYR",), "Fr": ("CHF",), "Fr.": ("CHF",), "kr": ("SEK", "NOK", "DKK", "ISK"),
    "kr.": ("DKK", "SEK", "NOK", "ISK"),
    "$": ("USD", "AUD", "CAD", "NZD", "HKD", "SGD", "TWD", "MXN", "CLP", "COP", "ARS", "BBD", "BMD", "BND", "BSD",
        "BZD", "CVE", "DOP", "FJD", "GYD", "JMD", "KYD", "LRD", "NAD", "SBD", "SRD", "TTD", "UYU", "XCD"),
}  # fmt: skip
_DAY = re.compile(r"[0-9]{4}(-?)[0-9]{2}\1[0-9]{2}")
_HOUR = re.compile(r"^([0-9-]{8,10}[T ])(?=[0-9]:)")  # WooCommerce writes 2026-11-01 9:00:00
_SPACES = " \u00a0\u2009\u202f"
_SIGN = r"[^\d\s.,'\u2019+-][^\d\s,'\u2019+-]{0,3}"


@dataclass(frozen=True, slots=True)
class Notation:
    """How a feed's prices are written. By default a decimal point and nothing else: the rest would be a guess."""

    decimal: str = "."
    thousands: str | None = None
    symbols: bool = False
    minor_units: bool = False  # of whole numbers that are not texts


@lru_cache(maxsize=64)
def _pattern(notation: Notation) -> re.Pattern[str]:
    point = re.escape(notation.decimal)
    digits = r"\d{1,12}"
    if notation.thousands is not None:
        group = f"[{_SPACES}]" if notation.thousands in _SPACES else re.escape(notation.thousands)
        group = "['\u2019]" if notation.thousands in "'\u2019" else group
        digits = rf"(?:\d{{1,3}}(?:{group}\d{{3}}){{1,4}}|{digits})"
    unit = "[A-Za-z]{3}" + (f"|{_SIGN}" if notation.symbols else "")
    # ASCII digits only: \d would also read those of other scripts.
    number = rf"{digits}(?:{point}\d{{1,12}})?".replace(r"\d", "[0-9]")
    after = rf"(?:\s*({unit}))?" if notation.symbols else rf"(?:(?(1)$|\s*({unit})))?"
    return re.compile(rf"(?:({unit})\s*)?({number}){after}")


def parse_currency(value: object) -> str:
    """The upper-case code of a known currency."""
    code = as_text(value).strip().upper()
    if code not in EXPONENTS:
        raise BadValue("unknown currency")
    return code


def _currency_of(unit: str, currency: str | None, symbols: bool) -> str:
    codes = _SYMBOLS.get(unit) if symbols else None
    if codes is None:
        return parse_currency(unit)
    if currency in codes:
        return str(currency)
    if len(codes) > 1:
        raise BadValue(f"{unit} is the symbol of several currencies")
    return codes[0]


def parse_price(
    value: object, currency: str | None, notation: Notation = Notation(), *, fixed_currency: bool = False
) -> tuple[int, str]:
    """Minor units and currency of 19.99, "19.99", "19.99 GBP" or "GBP 19.99", in the notation of the feed; with symbols
    also of "$19.99 USD".

    `currency` applies if the price names none; with `fixed_currency` a price in another one is refused.
    """
    match = _pattern(notation).fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, str) and match is None:
        raise BadValue("not a price in the notation of the mapping")
    unit = match and (match[1] or match[3])
    if match and match[1] and match[3]:  # $19.99 USD
        if match[3] not in _SYMBOLS.get(match[1], ()):
            raise BadValue("not a price in the notation of the mapping")
        unit = match[3]
    amount = as_number(_plain(match[2], notation) if match else value)
    code = currency
    if notation.minor_units and type(value) is int and code:
        amount = amount.scaleb(-EXPONENTS[code])
    if unit:
        code = _currency_of(unit, currency, notation.symbols)
        if fixed_currency and currency and code != currency:
            raise BadValue("the price names another currency than the currency field")
    if code is None:
        raise BadValue("no currency")
    if amount <= 0:
        raise BadValue(NOT_POSITIVE)
    if amount.adjusted() > 12:
        raise BadValue("absurdly high")
    # Beyond 25 digits scaleb would round, and hide surplus decimals.
    minor = amount.scaleb(EXPONENTS[code])
    if len(amount.as_tuple().digits) > 25 or minor != minor.to_integral_value():
        raise BadValue(f"more decimals than {code} has")
    if minor > (MAX_MINOR if code in WEAK else MAX_PRICE_MINOR):
        raise BadValue("absurdly high")
    return int(minor), code


def _plain(number: str, notation: Notation) -> str:
    whole, point, part = number.partition(notation.decimal)
    return "".join(c for c in whole if c.isdecimal()) + (f".{part}" if point else "")


@dataclass(frozen=True, slots=True)
class Period:
    """When a sale holds: from `start` on, and before `end`. None: without such a limit."""

    start: datetime | None = None
    end: datetime | None = None

    def holds(self, now: datetime) -> bool:
        return (self.start is None or self.start <= now) and (self.end is None or now < self.end)


def parse_period(value: object) -> Period:
    """`START/END` in ISO 8601, as Google's sale_price_effective_date; a time without a zone is UTC. Of days, the last
    one is included."""
    parts = [part.strip() for part in as_text(value).split("/")]
    if len(parts) != 2 or not any(parts):
        raise BadValue("not a period of two times, START/END")
    start, end = (_time(part) if part else None for part in parts)
    if end and end.year < MAXYEAR and _DAY.fullmatch(parts[1]):
        end += timedelta(days=1)
    if start and end and end <= start:
        raise BadValue("a period that ends before it starts")
    return Period(start, end)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(_HOUR.sub(r"\g<1>0", text))
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the first and the last day of all cannot be moved
        raise BadValue("not a time of ISO 8601") from None
