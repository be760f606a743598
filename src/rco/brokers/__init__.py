"""Brokers: what carries events in and out at high volume, never the state of a run. One contract, three fulfillers;
the suite in ``tests/conformance`` decides whether another is one too."""
