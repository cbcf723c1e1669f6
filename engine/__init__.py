"""The machinery that runs GraphQL documents: reads them, prices them, runs them, and says what came of it."""
