"""The Python SDK of the control API: ``async with Client(url, token) as client: await client.start("fulfil")``."""

from rco.client.client import Client

__all__ = ["Client"]
