"""Conformance of a live instance with a provider's published vectors."""
