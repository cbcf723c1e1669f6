"""`aclue verify`: whether a deployed database is what this code and the reference documents need, check by check.

check.py says what a check is and runs them; expected.py knows what the documents and sql/ ask for; each other module
holds the checks of one group.
"""
