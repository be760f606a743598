"""Outgoing webhooks: which endpoints want an event, how a message is signed, and what one attempt to send it is."""
