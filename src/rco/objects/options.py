"""What can be set about objects, and about the content store that keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

__all__ = ["ContentOptions", "ObjectOptions", "faults"]


class ObjectOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where large bytes live. Changes with a restart."""

    place: str = ""
    """`file:/path`, `s3://bucket/prefix`, or `memory`, which forgets everything at a stop. Empty: `objects` in
    `data_dir`."""
    endpoint: str = ""
    """The address of a server that speaks S3's protocol and is not Amazon's, such as `https://minio.example.com`."""
    region: str = "us-east-1"
    """The bucket's region."""
    access_key_id: str = ""
    """A reference to the key's name: `env:NAME` or `file:/path`. Empty: what the surroundings give."""
    secret_access_key: str = ""
    """A reference to the key: `env:NAME` or `file:/path`."""
    memory_limit_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 256 << 20
    """How much `memory` holds in all."""

    @property
    def in_bucket(self) -> bool:
        """Whether they are somebody else's to keep, behind S3's protocol."""
        return self.place.startswith("s3://")


class ContentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The content store: `POST /put` and `GET /o/{address}`."""

    enabled: bool = False
    """Whether the routes are there. `POST /put` needs `capability.enforce` besides."""
    object_limit_bytes: Annotated[int, Meta(ge=1024, le=5 << 30)] = 64 << 20
    """The largest body that is taken as a stream. JSON keeps to `limits.body_limit`."""
    inflight: Annotated[int, Meta(ge=1, le=10_000)] = 64
    """How many bodies may come in at the same time."""
    put_timeout_s: Annotated[float, Meta(gt=0, le=86_400)] = 120.0
    """A whole body must be there within it; each piece of it within `server.read_timeout`."""
    staged_limit_bytes: Annotated[int, Meta(ge=0, le=1 << 30)] = 64 << 20
    """How much small content may stand in the store, durable, until it is moved to its place. 0: each is put there
    before it is answered."""
    readers: Literal["anyone", "principals"] = "anyone"
    """Who may read: whoever knows an address, or only who shows a token."""


def faults(objects: ObjectOptions, content: ContentOptions, *, enforce: bool) -> Iterator[tuple[str, str, str]]:
    """What is wrong: key, message, cure."""
    place = objects.place
    if objects.in_bucket:
        if not urlsplit(place).netloc:
            yield "objects.place", "names no bucket", "Write s3://bucket or s3://bucket/prefix."
    elif place not in ("", "memory") and not place.startswith("file:/"):
        yield "objects.place", "is no place for objects", "Write file:/path, s3://bucket/prefix or memory."
    if bool(objects.access_key_id) != bool(objects.secret_access_key):
        yield "objects", "has half of a key", "Give access_key_id and secret_access_key, or neither."
    if content.enabled and not enforce:
        yield (
            "content.enabled",
            "needs capabilities: nobody could put anything",
            "Set capability.enforce: true; see docs/how-to/keep-content.md.",
        )
