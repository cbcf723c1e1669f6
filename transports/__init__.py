"""How requests come in and answers go out: GraphQL over HTTP. What is asked, and who asks, is decided here; what is
answered is the engine's."""
