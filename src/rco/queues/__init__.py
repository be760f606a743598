"""Queues: whose turn it is, and the owner's loop that gives turns within the limits."""
