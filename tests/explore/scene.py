"""What is another thing while calls are explored: no threads, a clock that stands still, nothing by lot."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace
from typing import Any

import pytest
import tenacity

from fsspec_guarded_s3 import GuardedS3FileSystem, _threads, _work, options
from fsspec_guarded_s3._auth import signer
from fsspec_guarded_s3._fs import copy_in_parts, renaming
from fsspec_guarded_s3._s3 import early, rates, retry
from fsspec_guarded_s3._values import deadline
from fsspec_guarded_s3._write import aborting, beginning
from fsspec_guarded_s3._write import upload as _upload
from fsspec_guarded_s3.integrations import (
    commit_pointer,
    commit_records,
    commit_transaction,
    commit_vacuum,
)

from .calls import PART
from .program import AtOnce, Tokens


def set_scene(monkeypatch: pytest.MonkeyPatch, tokens: Tokens) -> None:
    """Parts of a few bytes, no threads, `tokens` in place of random ones."""
    clock = SimpleNamespace(monotonic=lambda: 0.0, time=lambda: 1e9, sleep=lambda seconds: None)
    for module in (early, deadline, signer, _work, tenacity, commit_transaction):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(rates, "MAX_LIMITS", 0)  # they wait for time to pass, and send the same
    monkeypatch.setattr(retry, "random", SimpleNamespace(random=lambda: 0.0))
    # A pause drawn by lot would be another state each time.
    monkeypatch.setattr(tenacity.wait, "random", SimpleNamespace(uniform=lambda low, high: 0.0))
    monkeypatch.setattr(commit_pointer, "pause", lambda seconds: None)
    monkeypatch.setattr(commit_pointer, "random", SimpleNamespace(uniform=lambda low, high: 0.0))
    for module in (_upload, renaming, commit_records):
        monkeypatch.setattr(module, "secrets", tokens)
    # Such tokens say whose they are, and are not of the kind that vacuum knows.
    monkeypatch.setattr(commit_vacuum, "_WRITTEN", re.compile(r"data/[a-z0-9-]+/(\d+/|clock$)"))
    # A run is stopped at a request, which is no interrupt: what it leaves must not ask in the next run.
    monkeypatch.delattr(_upload.Upload, "__del__")
    monkeypatch.setattr(options, "MIN_PART_SIZE", 1)
    monkeypatch.setattr(options, "MIB", 1)
    monkeypatch.setattr(copy_in_parts, "_COPY_PART", PART)
    monkeypatch.setattr(copy_in_parts, "_SENT_PART", PART)
    monkeypatch.setattr(_threads, "_pool", AtOnce())
    for module in (aborting, beginning):
        monkeypatch.setattr(module, "start_thread", lambda call: call())
    monkeypatch.setattr(logging.getLogger("fsspec_guarded_s3"), "disabled", True)


def explored(**others: Any) -> GuardedS3FileSystem:
    """A filesystem whose requests the exploration answers, one after the other."""
    return GuardedS3FileSystem(
        anon=True,
        endpoint_url="http://127.0.0.1",
        region="us-east-1",
        probe="never",
        max_concurrency=1,
        skip_instance_cache=True,
        verify_checksums=False,
        **others,
    )
