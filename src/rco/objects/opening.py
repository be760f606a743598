"""Opening the keeper of objects that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from rco.errors import ConfigInvalid
from rco.kit.clock import Clock
from rco.kit.ids import Ids
from rco.objects.contract import Objects
from rco.objects.folder import FolderObjects
from rco.objects.memory import MemoryObjects
from rco.objects.options import ObjectOptions

__all__ = ["open_objects"]


def open_objects(
    options: ObjectOptions, data: Path, *, clock: Clock, ids: Ids, resolve: Callable[[str], str]
) -> Objects:
    """The keeper of objects, not started. ``data`` is the service's own folder, ``resolve`` opens references.

    Raises ``ConfigInvalid`` when its library is not there or a reference cannot be opened.
    """
    if options.place == "memory":
        return MemoryObjects(clock, options.memory_limit_bytes)
    if not options.in_bucket:
        folder = Path(options.place.removeprefix("file:")) if options.place else data / "objects"
        return FolderObjects(folder, ids)
    try:
        from rco.objects.bucket import BucketObjects
    except ImportError:
        raise ConfigInvalid(
            "a bucket needs a library that is not installed.", cure="pip install 'rco[objects]'", key="objects.place"
        ) from None
    where = urlsplit(options.place)
    return BucketObjects(
        where.netloc,
        where.path.strip("/"),
        spool=data / "spool",
        endpoint=options.endpoint,
        region=options.region,
        access_key_id=resolve(options.access_key_id) if options.access_key_id else "",
        secret_access_key=resolve(options.secret_access_key) if options.secret_access_key else "",
        plain_http=options.endpoint.startswith("http://"),
    )
