"""Capabilities: short-lived, narrow rights that anyone may narrow further and nobody can widen. See ``token``."""
