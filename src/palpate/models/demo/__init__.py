"""The demo's three small networks, with their weights."""
