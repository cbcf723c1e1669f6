"""When jobs run: cron expressions, in UTC. A sixth field is the second."""

from __future__ import annotations

_UNITS = ((1, 60, "* * * * * */{}"), (60, 60, "*/{} * * * *"), (3600, 24, "0 */{} * * *"))
DAILY = "17 3 * * *"


def every(seconds: int) -> str:
    """The expression for every so many seconds. Runs are evenly spaced: the period is the longest one that is not
    longer, and that divides a minute, an hour or a day. From a day on it is a day."""
    for unit, size, expression in _UNITS:
        if seconds < unit * size:
            number = max(n for n in range(1, size) if size % n == 0 and n * unit <= seconds)
            return expression.format(number)
    return "0 0 * * *"
