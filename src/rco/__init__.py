"""RCO, the Remote-Call Orchestrator.

The package face stays empty so that no inner module ever imports it. Public modules: ``rco.workflow`` (write
workflows), ``rco.client`` (talk to a service), ``rco.testing`` (test workflows), ``rco.errors`` (what can go wrong),
``rco.audit.verify`` (check evidence without the service).
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
