"""Which subscriptions want an event. Pure: no I/O, no clock, no state but the table."""
