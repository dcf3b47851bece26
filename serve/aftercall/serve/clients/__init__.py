"""Clients: how a consumer reaches a speech backend, in this process or behind a network."""
