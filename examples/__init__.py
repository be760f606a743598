"""Applications and services to start from. They are read, copied and run; nothing here is installed."""
