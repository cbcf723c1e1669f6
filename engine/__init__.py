"""The GraphQL engine: parses, validates, counts the cost of and executes documents, and renders responses."""
