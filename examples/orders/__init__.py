"""Orders: the application of the demo, and the demo itself."""
