"""What fields cost beyond the number of their values: engine/cost.py counts with it."""

from __future__ import annotations

# Leaves of up to 50,000 characters: a budget of 15,000 buys 365 of them, 18 MB, or 55 MB at three bytes a character.
LONG_LEAVES = {
    ("Product", "description"): 40,
    ("Product", "imageUrl"): 2,
    ("Profile", "statedPreferences"): 14,
    ("AffiliateClick", "redirectUrl"): 2,
    ("SystemLog", "message"): 2,
    ("AuditEntry", "changes"): 20,
    ("SystemLog", "context"): 5,
    ("ImportRun", "mapping"): 40,
    ("ImportRun", "counts"): 2,
    ("ConversionReport", "raw"): 80,  # up to 100,000 bytes
    ("ConversionReport", "facts"): 2,
    ("ExportMyDataPayload", "document"): 1000,  # up to 1 MB
}

# Additional cost of fields whose work exceeds the values they return: they hash passwords, create or move rows, or
# rank, search or count the catalogue. A value stands for about 20 us of CPU in the server and in Postgres.
SURCHARGES = {
    ("Mutation", "signIn"): 500,
    ("Mutation", "signUp"): 500,
    ("Mutation", "startSession"): 500,
    ("Mutation", "mergeSession"): 500,
    ("Mutation", "resetPassword"): 500,
    ("Mutation", "changePassword"): 500,
    ("Query", "nextQuestion"): 50,
    ("Query", "recommendations"): 500,
    ("Query", "giftFinder"): 500,
    ("Preferences", "categories"): 25,
    ("Preferences", "brands"): 25,
    ("Preferences", "styles"): 25,
    ("Product", "personalityMatch"): 10,
    ("Product", "similar"): 200,
    ("ProductConnection", "totalCount"): 100,
    ("ProductFacets", "categories"): 200,
    ("ProductFacets", "brands"): 200,
    ("ProductFacets", "retailers"): 200,
    ("ProductFacets", "priceBands"): 200,
    ("ProductFacets", "tags"): 600,
    ("Suggestions", "products"): 30,
    ("Suggestions", "brands"): 10,
    ("Suggestions", "categories"): 10,
    ("Suggestions", "tags"): 10,
    ("Query", "node"): 10,
    # Sums over days and groups, or over sales and their postings.
    ("Query", "funnel"): 500,
    ("Query", "recommendationPerformance"): 300,
    ("Query", "revenue"): 1000,
    ("Query", "ledgerBalances"): 1000,
    ("Query", "reconciliation"): 1000,
    ("Query", "eventCounts"): 1000,
    ("Query", "impressionCounts"): 2000,
}
# The same for each item of a list: a recommendation is ranked again when it is read by its id.
SURCHARGES_PER_ITEM = {("Query", "nodes"): 10}
SEARCH_ARGUMENT, SEARCH_SURCHARGE = "search", 200
