"""Where the checks work: a store, and fresh places in it, each of one check."""

from __future__ import annotations

import contextlib
import ssl
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.client import BaseClient
from botocore.config import Config

from fsspec_guarded_s3 import GuardedS3FileSystem, InvalidRequestError
from tests.real_stores import budget
from tests.real_stores.starting import Server

MIB = 2**20
NO_SUCH = '"00000000000000000000000000000000"'  # an ETag that no object has
ABORT_SECONDS = 60  # that an abort may take in the background
IN_PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}


@dataclass(frozen=True)
class Place:
    """A store. `options` open a filesystem on it; without `root` each check gets a bucket of its own.

    `root` is "bucket" or "bucket/prefix" of somebody's: nothing outside is touched, and no bucket is made.
    `versioned` is such a place in a bucket that has versions, where one was given.
    """

    name: str
    options: Mapping[str, Any]
    root: str = ""
    versioned: str = ""

    def fs(self, **more: Any) -> GuardedS3FileSystem:
        """A filesystem that shares nothing with others, but what is known of the store."""
        return GuardedS3FileSystem(**{**self.options, **more, "skip_instance_cache": True})

    def boto(self, **config: Any) -> BaseClient:
        """boto3's client, which adds no checksums of its own and tries once."""
        options = self.options
        chosen = {"retries": {"total_max_attempts": 1}, "read_timeout": 120, **config}
        for name in ("request_checksum_calculation", "response_checksum_validation"):
            if name in Config.OPTION_DEFAULTS:  # before botocore 1.36 it added none
                chosen[name] = "when_required"
        if options.get("endpoint_url"):
            chosen["s3"] = {"addressing_style": "path"}
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=options.get("endpoint_url"),
            aws_access_key_id=options.get("key"),
            aws_secret_access_key=options.get("secret"),
            aws_session_token=options.get("token"),
            region_name=options.get("region"),
            verify=options.get("ca_bundle"),
            config=Config(**chosen),
        )
        budget.watch(client)
        return client

    def fresh(self, versioned: bool = False) -> Spot:
        """A place where nothing is. `versioned` asks for one in a bucket with versions."""
        word = uuid.uuid4().hex[:12]
        root = self.versioned if versioned else self.root
        if root:
            bucket, _, prefix = f"{root}/{word}".partition("/")
            return Spot(self, self.fs(), bucket, f"{prefix}/")
        fs, bucket = self.fs(), f"check-{word}"
        fs.mkdir(bucket)
        if versioned:
            fs.make_bucket_versioned(bucket)
        return Spot(self, fs, bucket)


@dataclass(frozen=True)
class Spot:
    """A bucket, or a prefix of one, that one check has for itself. `fs` is a filesystem that is there."""

    place: Place
    fs: GuardedS3FileSystem
    bucket: str
    prefix: str = ""
    client: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "client", self.place.boto())

    @property
    def root(self) -> str:
        """What the filesystem calls this place."""
        return f"{self.bucket}/{self.prefix}".rstrip("/")

    def path(self, name: str) -> str:
        """A path of the filesystem."""
        return f"{self.bucket}/{self.prefix}{name}"

    def named(self, name: str) -> dict[str, str]:
        """The same object, as boto3's keywords."""
        return {"Bucket": self.bucket, "Key": f"{self.prefix}{name}"}

    def put(self, name: str, data: bytes = b"", **more: Any) -> str:
        """Write by boto3; returns the ETag that it told."""
        return str(self.client.put_object(**self.named(name), Body=data, **more).get("ETag", ""))

    def body(self, name: str) -> bytes:
        """Read by boto3."""
        return bytes(self.client.get_object(**self.named(name))["Body"].read())

    def etag(self, name: str) -> str:
        """The ETag, by boto3."""
        return str(self.client.head_object(**self.named(name))["ETag"])

    def uploads(self) -> list[str]:
        """Keys of the uploads that are open here, below the prefix."""
        return [upload["name"].removeprefix(self.path("")) for upload in self.fs.list_uploads(self.root)]

    def assert_no_uploads(self) -> None:
        """Nothing is left half-way, as far as the store can list that; an abort may still be under way."""
        try:
            until = time.monotonic() + ABORT_SECONDS
            while (left := self.uploads()) and time.monotonic() < until:
                time.sleep(0.5)
        except InvalidRequestError as error:
            if error.status != 501:
                raise
        else:
            assert left == [], f"an upload is left: {left}"


def place_of(name: str, server: Server) -> Place:
    """The store that `server` is."""
    options: dict[str, Any] = {
        "endpoint_url": server.url,
        "key": server.key,
        "secret": server.secret,
        "region": server.region,
    }
    if server.authority is not None:
        options["ca_bundle"] = str(server.authority)
    return Place(name, options)


def metadata_of(head: Mapping[str, Any]) -> dict[str, str]:
    """The metadata of an answer of boto3, which leaves the case of names as the store has it."""
    return {name.lower(): value for name, value in head["Metadata"].items()}


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A local folder for a moment."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name)


def fetch(request: urllib.request.Request, place: Place) -> tuple[int, bytes]:
    """Status and body of the answer to somebody who knows nothing of S3."""
    context = ssl.create_default_context(cafile=place.options.get("ca_bundle"))
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
