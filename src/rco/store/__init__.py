"""Keeping: one contract, several keepers."""
