"""The one seam to where files lie: an `Address` in, a `Store` out."""

import os
from functools import lru_cache

from ghostkit.cloud.address import Address, parse
from ghostkit.cloud.objects import Store
from ghostkit.cloud.settings import StoreSettings, settings_for


def open_store(address: Address | str) -> Store:
    """The store that holds `address`, with the settings of `settings_for`.

    Raises:
        UsageError: the settings are incomplete or wrong.
        MissingExtra: the package for it is not installed.
    """
    place = parse(address) if isinstance(address, str) else address
    return _opened(place.scheme, place.bucket, settings_for(place.scheme), os.getpid())


_of_obstore = 0  # the process that has its threads


@lru_cache(maxsize=32)
def _opened(scheme: str, bucket: str, settings: StoreSettings, process: int) -> Store:
    """One client per bucket and process: a fork must not share connections.

    Nor may both sides of a fork go on with obstore, whose threads one lacks, and whose events would
    go to the other; Huawei's SDK, which speaks S3 too, takes its place.
    """
    global _of_obstore
    own_signature = scheme == "obs" and settings.signature in ("obs", "v2")
    forked = _of_obstore not in (0, process) and settings.access_key is not None
    if own_signature or forked:
        from ghostkit.cloud.obs_store import ObsStore

        return ObsStore(scheme, bucket, settings)
    from ghostkit.cloud.s3_store import S3Store

    _of_obstore = process
    return S3Store(scheme, bucket, settings)
