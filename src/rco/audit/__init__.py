"""Evidence: the chain that every commit extends, its export, and a verifier that needs nothing else of RCO."""
