"""Compiled plans: a validated operation becomes SQL and functions that render JSON (docs/plans.md)."""
