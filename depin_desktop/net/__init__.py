"""Peers: who this node is, HTTP over iroh, the hub, and what providers offer there.

It moves requests and messages; it knows nothing of what they mean to a service.
"""
