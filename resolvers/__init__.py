"""The operations behind the fields: plain Python in and out; no GraphQL library, no SQL text."""
