"""Compiled plans: a validated operation becomes SQL and functions that write JSON text (docs/plans.md)."""
