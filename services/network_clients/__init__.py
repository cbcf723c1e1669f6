"""Clients of the APIs of affiliate networks, one module per network and API version.

A client asks for what changed within a window and gives the answers as they came: the texts that the reader of that
network's files reads. What the requests need (credentials, pace, retries) is in `api.py`, what a client is in
`client.py`.
"""
