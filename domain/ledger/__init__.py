"""The ledger of commissions: what networks report, the state that follows from it, and the postings of each change.

Nothing here does I/O. A file becomes reports (one module per network), the set of reports of a conversion becomes a
timeline (the same module), and a timeline with the payments that cover it becomes movements and figures (booking). Each
step is a function of a set, so the order and the number of times in which files arrive do not matter.
"""
