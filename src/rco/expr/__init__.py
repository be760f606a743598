"""Expressions over values, for filters and keys."""
