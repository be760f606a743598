"""Settings: read once from file, environment and flags into one frozen value, and poured in by ``rco.app``."""

from rco.config.check_certificate import certificate_problems
from rco.config.explain import Change, Explained, diff, explain
from rco.config.interop import load_interop, problems_interop
from rco.config.load import Loaded, load, problems
from rco.config.secrets import Secrets
from rco.config.settings import Settings

__all__ = [
    "Change",
    "Explained",
    "Loaded",
    "Secrets",
    "Settings",
    "certificate_problems",
    "diff",
    "explain",
    "load",
    "load_interop",
    "problems",
    "problems_interop",
]
