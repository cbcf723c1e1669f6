"""The GraphQL engine: parses, validates, prices and executes documents, and renders responses."""
