"""What a keeper promises, in small protocols by family. Engine, router and operations look down on these only.

Singular contract, plural keepers: ``rco.store.sqlite`` is one, and the suite in ``tests/conformance`` decides whether
another is a keeper too.
"""
