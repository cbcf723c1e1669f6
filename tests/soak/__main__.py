"""`make soak`: 200,000 requests, half of them in each claims mode; REQUESTS and MINUTES ask for more."""

from __future__ import annotations

import os
import sys

from settings import ClaimsMode
from tests.e2e.conftest import data_folder
from tests.soak.soak import Outcome, soak


def main() -> int:
    requests = int(os.environ.get("REQUESTS") or 200_000)
    minutes = float(os.environ.get("MINUTES") or 0)
    modes = list(ClaimsMode)
    is_clean = True
    with data_folder() as home:
        for mode in modes:
            outcome = soak(home, mode, requests=requests // len(modes), seconds=minutes * 60 / len(modes), tell=_tell)
            print(outcome, flush=True)
            is_clean = is_clean and outcome.is_clean
    return 0 if is_clean else 1


def _tell(outcome: Outcome) -> None:
    print(f"\r{outcome.requests:,} requests", end="\r", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
