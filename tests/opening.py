"""How the tests open a filesystem on a server of their own."""

from typing import Any

from fsspec_guarded_s3 import GuardedS3FileSystem

MIB = 2**20


def filesystem(url: str, **options: Any) -> GuardedS3FileSystem:
    """A filesystem on `url` with credentials that nobody checks."""
    chosen = {"key": "k", "secret": "s", "region": "us-east-1", "skip_instance_cache": True}
    # What the probe finds out is tested by itself; elsewhere it would blur which requests were made.
    chosen |= {"probe": "never", **options}
    return GuardedS3FileSystem(endpoint_url=url, **chosen)
