"""`aclue verify`: checks that a deployed database is what this code and the reference documents need.

check.py defines and runs checks; expected.py derives the expected state from the documents and sql/; each other module
has the checks of one group.
"""
