"""The durable engine: a pure machine per run, an owner that keeps its journal, and what arms its operations.

Authors see ``engine.operation`` and ``engine.program``; operations see ``engine.engine`` and ``engine.ask``.
"""
