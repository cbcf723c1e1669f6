"""GraphQL over HTTP, WebSockets and server-sent events; exports, links and pages. Transports turn messages into
requests and identify the caller; the engine answers them."""
