"""How long it takes to tell what a User-Agent header says: ordinary ones, and texts made to take long.

    make bench-devices

Each text is another one, so that none is remembered. Exit code 1 if one kind takes more than a millisecond (median).
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from domain.devices import device_class  # noqa: E402

MAX_MS = 1.0
RUNS = 200
AGENTS = {
    "phone": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36 {}",
    "crawler": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html) {}",
    "nothing": "{}" + "x" * 5000,
    "beginnings of words": "{}" + "bocrspslprscfameemifvkmagopi" * 200,
    "beginnings of names": "{}" + "Mozilla Googl BingPrevie Slac Yande Baid Twitte Face " * 100,
    "androids": "{}" + "android " * 600,
    "spiders": "{}" + "Spidespider.co " * 400,
    "spaces": "{}" + " " * 5000,
}


def main() -> int:
    """Prints the median and the longest time of each kind."""
    worst = 0.0
    for name, text in AGENTS.items():
        took = []
        for number in range(RUNS):
            agent = text.format(number)
            began = time.perf_counter()
            device_class(agent)
            took.append((time.perf_counter() - began) * 1000)
        worst = max(worst, statistics.median(took))
        print(f"{name:22}{statistics.median(took):7.3f} ms (median){max(took):9.3f} ms (longest)")
    return int(worst > MAX_MS)


if __name__ == "__main__":
    sys.exit(main())
