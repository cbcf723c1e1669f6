"""Compiles validated operations into plans: SQL, and functions that render JSON (docs/plans.md)."""
