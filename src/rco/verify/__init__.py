"""A checker for deployments: three records, each written by another party, and nine rules that they must keep.

It shares no code with what it checks: standard library, msgspec and blake3 only (``.importlinter`` holds it). Formats:
``docs/reference/verify-formats.md``; rules: ``docs/how-to/check-a-deployment.md``. ``python -m rco.verify --help``.
"""

from rco.verify.check import check
from rco.verify.options import Options, TargetLimits
from rco.verify.sources import Unreadable
from rco.verify.verdict import Result, RuleVerdict, Verdict

__all__ = ["Options", "Result", "RuleVerdict", "TargetLimits", "Unreadable", "Verdict", "check"]
