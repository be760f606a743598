"""The parts of a service, each put together in a file of its own from the settings. ``rco.app`` says in which order."""
