"""Governed calls out: what a target allows, within its limits, to addresses that may be reached."""
