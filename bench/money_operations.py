"""What finance asks of the ledger; see bench/operations.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from domain import ids

Do = Callable[..., Awaitable[dict[str, Any]]]
"""(name, document, variables by name) -> data."""

_NONE = UUID(int=1)
_RETAILER = ids.encode("Retailer", _NONE)
_CONVERSION = ids.encode("Conversion", _NONE)


async def money(do: Do) -> None:
    """Everything that finance reads and decides, about nothing that exists."""
    time = "2026-07-01T00:00:00Z"
    row = "id reference status pending { amount } retailer { slug } click { token } explanation { faults }"
    row += (
        " reports(first: 3) { nodes { raw } } entries(first: 3) { nodes { id } } exceptions(first: 3) { nodes { id } }"
    )
    row += " decisions(first: 3) { nodes { reason } } isHeld flags(first: 3) { nodes { detail } }"
    paid = "id amount { amount } settlement { due { amount } } entries(first: 3) { nodes { id } }"
    paid += " exceptions(first: 3) { nodes { id } }"
    posted = "id account amount { amount } conversion { id } payment { id }"
    asked: tuple[tuple[str, str, str, tuple[dict[str, Any], ...]], ...] = (
        ("conversions", "ConversionFilter", row, (
            {}, {"networks": ["awin"]}, {"retailerId": _RETAILER}, {"status": ["PAID"]}, {"currencyCode": "GBP"},
            {"reference": "x"}, {"month": "2026-07"}, {"since": time, "until": time}, {"isMatched": False},
            {"isHeld": True},
        )),
        ("ledger", "LedgerFilter", posted, (
            {}, {"account": "TRACKED", "currencyCode": "GBP"}, {"conversionId": _CONVERSION},
            {"paymentId": ids.encode("Payment", _NONE)}, {"since": time, "until": time},
        )),
        ("payments", "PaymentFilter", paid, (
            {}, {"networks": ["awin"]}, {"reference": "x"}, {"month": "2026-08"}, {"isSettled": True},
        )),
        ("exceptions", "ExceptionFilter", "id kind payment { id } conversion { id } decision { reason }", (
            {}, {"isOpen": True}, {"kind": "TRANSITION"}, {"network": "awin"},
        )),
        ("conversionFlags", "ConversionFlagFilter", "id kind detail releaseReason conversion { id }", (
            {}, {"isHeld": True}, {"kind": "EARLY_SALE"}, {"network": "awin"}, {"since": time, "until": time},
        )),
    )  # fmt: skip
    for name, kind, nodes, filters in asked:
        document = f"query ($f: {kind}, $a: String) {{ {name}(first: 3, after: $a, filter: $f)"
        document += f" {{ totalCount pageInfo {{ endCursor }} nodes {{ {nodes} }} }} }}"
        for wanted in filters:
            page = (await do(f"{name} {' '.join(wanted)}", document, f=wanted, a=None))[name]
            await do(f"{name} after", document, f=wanted, a=page["pageInfo"]["endCursor"])
    balances = "{ ledgerBalances(by: [NETWORK, RETAILER, MONTH]) { account amount { amount } retailer { slug } } }"
    await do("ledgerBalances", balances)
    await do("reconciliation", '{ reconciliation(month: "2026-07") { by { pending retailer { slug } } } }')
    for name, kind, given in (
        ("matchConversion", "MatchConversionInput", {"conversionId": _CONVERSION, "trackingId": "x"}),
        ("adjustConversion", "AdjustConversionInput", {"conversionId": _CONVERSION, "amount": "1"}),
        ("holdConversion", "HoldConversionInput", {"conversionId": _CONVERSION}),
        ("releaseConversion", "ReleaseConversionInput", {"conversionId": _CONVERSION}),
        ("acceptException", "DecideExceptionInput", {"exceptionId": ids.encode("LedgerException", _NONE)}),
        ("declineException", "DecideExceptionInput", {"exceptionId": ids.encode("LedgerException", _NONE)}),
    ):
        document = f"mutation ($i: {kind}!) {{ {name}(input: $i) {{ userErrors {{ message }} }} }}"
        await do(name, document, i={**given, "reason": "tried"})
