"""Schedules: which instants they name, what is to be done at one, and the owner's loop that does it."""
