"""What operators switch off while something is wrong with it, so that the rest goes on. docs/switches.md"""

from __future__ import annotations

from enum import Enum

from domain.errors import SwitchedOff


class Switch(Enum):
    """The value is its name for operators, and in the table."""

    PERSONALISATION = "personalisation"
    SUBSCRIPTIONS = "subscriptions"
    IMPORTS = "imports"
    WRITES = "writes"

    def refusal(self) -> SwitchedOff:
        """The error of what is refused while it is off."""
        return SwitchedOff(_REFUSALS[self])


_REFUSALS = {
    Switch.PERSONALISATION: "Personalisation is switched off for now.",
    Switch.SUBSCRIPTIONS: "Subscriptions are switched off for now: ask again later, or use queries.",
    Switch.IMPORTS: "Imports are switched off for now; `aclue switch on imports` allows them again.",
    Switch.WRITES: "Nothing can be changed for now: the service is read-only. Queries are answered.",
}
