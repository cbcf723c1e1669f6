"""The clients there are. Amazon Associates has no API for earnings: its reports are files."""

from __future__ import annotations

from services.network_clients import awin, cj, ebay, impact, rakuten, sovrn, tradedoubler, webgains
from services.network_clients.client import Client

CLIENTS: dict[str, Client] = {
    client.code: client
    for client in (
        awin.CLIENT,
        cj.CLIENT,
        ebay.CLIENT,
        impact.CLIENT,
        rakuten.CLIENT,
        sovrn.CLIENT,
        tradedoubler.CLIENT,
        webgains.CLIENT,
    )
}
