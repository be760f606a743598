"""Drills: a real service, real load, a fault, and what must hold meanwhile and afterwards. One drill a file in
``drills/``; ``rco drill`` runs them."""
