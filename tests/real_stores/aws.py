"""`make aws BUCKET=...`: the suite of `make stores` on a bucket of yours, below one prefix, within a limit.

Credentials, region and endpoint come from where boto3 finds them. All that is written is below
`s3://BUCKET/gs3-check-.../`, is limited in number and bytes before each request, and is removed at the end,
also after an error or Ctrl-C. No bucket is made, changed or removed.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from tests.real_stores import budget
from tests.real_stores.__main__ import say, tell
from tests.real_stores.checking import Outcome
from tests.real_stores.guards import guard_outcomes
from tests.real_stores.place import Place
from tests.real_stores.run import surface_outcomes
from tests.real_stores.suites import suite_outcomes
from tests.real_stores.table import Result, text

MOST_WRITES, MOST_GIB = 20_000, 5.0
# List prices of S3 Standard in us-east-1, in US dollars; a listing costs as a write does.
PER_WRITE, PER_READ, PER_BYTE_OUT = 0.005 / 1000, 0.0004 / 1000, 0.09 / 2**30
# Of a run on versitygw.
MEASURED = budget.Spent(writes=9_400, reads=9_700, sent=900 * 2**20, received=1_100 * 2**20)
REPORT = Path("store-report.md")


class Refused(RuntimeError):
    """Nothing was sent; the message says what is missing."""


@dataclass(frozen=True)
class Bucket:
    """One of the buckets that were given: which kind it is, and the prefix that is used."""

    kind: str
    name: str
    prefix: str
    versioned: str = ""

    @property
    def root(self) -> str:
        """The place below which everything is written."""
        return f"{self.name}/{self.prefix}"

    def written(self) -> list[dict[str, str]]:
        """Where something may have been written, as boto3's keywords."""
        roots = [root for root in (self.root, self.versioned) if root]
        split = [root.partition("/") for root in dict.fromkeys(roots)]
        return [{"Bucket": name, "Prefix": f"{prefix}/"} for name, _, prefix in split]

    def place(self) -> Place:
        """It, for the checks."""
        return Place(self.kind, options(), self.root, self.versioned)


def options() -> dict[str, Any]:
    """The storage options: all but the endpoint are left to the usual chain."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return {"endpoint_url": endpoint} if endpoint else {}


def buckets(given: argparse.Namespace) -> list[Bucket]:
    """Those that were given, each with one prefix of this run. Raises Refused."""
    if os.environ.get("CI"):
        raise Refused("this is never run by CI: it costs money")
    if not given.bucket:
        raise Refused("name a bucket of yours: make aws BUCKET=my-bucket [VERSIONED=...] [DIRECTORY=...]")
    prefix = f"gs3-check-{secrets.token_hex(4)}"
    versioned = f"{given.versioned}/{prefix}" if given.versioned else ""
    found = [Bucket("general purpose", given.bucket, prefix, versioned)]
    if given.versioned:
        found.append(Bucket("versioned", given.versioned, f"{prefix}/v", f"{versioned}/v"))
    if given.directory:
        if not given.directory.endswith("--x-s3"):
            raise Refused(f"{given.directory} is not the name of a directory bucket: those end with --x-s3")
        found.append(Bucket("directory", given.directory, prefix))
    return found


def look(bucket: Bucket) -> None:
    """Ask for the bucket before anything is written. Raises Refused."""
    place = bucket.place()
    try:
        place.boto().list_objects_v2(Bucket=bucket.name, MaxKeys=1)
        is_versioned = bucket.kind != "directory" and place.fs().is_bucket_versioned(bucket.name)
    except (ClientError, OSError) as error:
        raise Refused(f"{bucket.name}: {error}") from error
    if bucket.kind == "versioned" and not is_versioned:
        raise Refused(f"{bucket.name} has no versions")


def plan(found: list[Bucket], most_writes: int, most_bytes: int) -> str:
    """What will be done, and what it costs."""
    each = cost(MEASURED)
    lines = [f"This writes below {', '.join(f's3://{bucket.root}/' for bucket in found)}, and removes it."]
    lines += [
        f"For each bucket some {MEASURED.writes:,} requests that write, {MEASURED.reads:,} that read, "
        f"{MEASURED.sent / 2**20:,.0f} MiB up and {MEASURED.received / 2**20:,.0f} MiB down,",
        f"in some 20 minutes. At list prices that is about ${each * len(found):.2f}, or less.",
        f"It stops at {most_writes:,} requests that write, or {most_bytes:,} bytes sent, for each bucket.",
        "It needs s3:ListBucket, GetObject, PutObject, DeleteObject, the same of versions, tags and ACLs,",
        "AbortMultipartUpload, ListBucketMultipartUploads and ListMultipartUploadParts on that prefix.",
    ]
    return "\n".join(lines)


def cost(spent: budget.Spent) -> float:
    """US dollars at list prices, with all bytes out of AWS."""
    return spent.writes * PER_WRITE + spent.reads * PER_READ + spent.received * PER_BYTE_OUT


def try_bucket(bucket: Bucket, most_writes: int, most_bytes: int, only: str = "") -> tuple[Result, int]:
    """Run the suite, and remove what it wrote, whatever happened.

    Returns what happened, and how much could not be removed.
    """
    with tempfile.TemporaryDirectory() as folder:
        budget.begin(Path(folder, "budget"), most_writes, most_bytes)
        rows: dict[str, list[Outcome]] = {"guards": [], "surface": []}
        try:
            for group, outcome in _outcomes(bucket.place(), only):
                tell(outcome)
                rows[group].append(outcome)
                if budget.spent().is_over:
                    say(f"the limit of {most_writes:,} writes or {most_bytes:,} bytes is reached: stopped")
                    break
        finally:
            spent = budget.spent()
            budget.end()
            left = clean(bucket)
        say(
            f"{spent.writes:,} writes, {spent.reads:,} reads, {spent.sent / 2**20:,.0f} MiB up, "
            f"{spent.received / 2**20:,.0f} MiB down: about ${cost(spent):.2f}; {left} left"
        )
        return Result(bucket.kind, bucket.kind, "", rows), left


def _outcomes(place: Place, only: str) -> Iterator[tuple[str, Outcome]]:
    if not only:
        for outcome in guard_outcomes(place):
            yield "guards", outcome
    for outcome in surface_outcomes(place, only):
        yield "surface", outcome
    for outcome in suite_outcomes(place, only):
        yield "surface", outcome


def clean(bucket: Bucket) -> int:
    """Remove all below the prefix: uploads, objects, and versions with their delete markers.

    Returns how many could not be removed. It is boto3 that does it, not what is tested.
    """
    client = bucket.place().boto(retries={"total_max_attempts": 5})
    left = 0
    for where in bucket.written():
        try:
            left += _clean_below(client, where)
        except ClientError as error:  # one place that cannot be listed keeps nobody from the others
            say(f"not removed: what is below s3://{where['Bucket']}/{where['Prefix']}: {error}")
            left += 1
    return left


def _clean_below(client: Any, where: dict[str, str]) -> int:
    for _ in range(1_000):  # each round asks for the first page anew: nothing depends on a store's markers
        gone = _abort_some(client, where) + _delete_some(client, where)
        if not gone:
            break
    return len(_page(client, where)) + len(_uploads(client, where))


def _abort_some(client: Any, where: dict[str, str]) -> int:
    gone = 0
    for upload in _uploads(client, where):
        try:
            client.abort_multipart_upload(
                Bucket=where["Bucket"], Key=upload["Key"], UploadId=upload["UploadId"]
            )
            gone += 1
        except ClientError as error:
            say(f"not aborted: {upload['Key']}: {error}")
    return gone


def _uploads(client: Any, where: dict[str, str]) -> list[dict[str, Any]]:
    try:
        return list(client.list_multipart_uploads(**where).get("Uploads", []))
    except ClientError:  # a store without uploads, or without this operation
        return []


def _delete_some(client: Any, where: dict[str, str]) -> int:
    keys = _page(client, where)
    gone = 0
    for key in keys:
        try:
            client.delete_object(Bucket=where["Bucket"], **key)
            gone += 1
        except ClientError as error:
            say(f"not removed: {key['Key']}: {error}")
    return gone


def _page(client: Any, where: dict[str, str]) -> list[dict[str, Any]]:
    """Some of what is there: versions where the bucket has them, else keys."""
    try:
        page = client.list_object_versions(**where)
        rows = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if rows:
            plain = {None, "", "null"}
            return [
                {"Key": row["Key"]}
                if row.get("VersionId") in plain
                else {"Key": row["Key"], "VersionId": row["VersionId"]}
                for row in rows
            ]
    except ClientError:
        pass
    return [{"Key": row["Key"]} for row in client.list_objects_v2(**where).get("Contents", [])]


def main() -> int:
    """Run on what was given; 2 when that was refused, 1 when something is left or broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.real_stores.aws", description=__doc__)
    parser.add_argument("--bucket", default="", help="a general purpose bucket")
    parser.add_argument("--versioned", default="", help="a bucket with versions")
    parser.add_argument("--directory", default="", help="a directory bucket (S3 Express)")
    parser.add_argument("--writes", type=int, default=MOST_WRITES, help="the most requests that write")
    parser.add_argument("--gib", type=float, default=MOST_GIB, help="the most GiB sent")
    parser.add_argument("--only", default="", help="part of the titles of checks")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--clean", metavar="PREFIX", default="", help="remove what a killed run left")
    given = parser.parse_args()
    try:
        found = buckets(given)
        if given.clean:
            return _clean_again(found, given.clean)
        for bucket in found:
            look(bucket)
        say(plan(found, given.writes, int(given.gib * 2**30)))
        if not given.yes:
            _ask()
    except Refused as error:
        say(f"nothing was done: {error}")
        return 2
    return _run(found, given)


def _run(found: list[Bucket], given: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what follows cleans up
    results, left = [], 0
    for bucket in found:
        say(f"{bucket.kind}: s3://{bucket.root}/")
        result, stayed = try_bucket(bucket, given.writes, int(given.gib * 2**30), given.only)
        results.append(result)
        left += stayed
        REPORT.write_text(text(results) + "\n", encoding="utf-8")
    say(f"the table is in {REPORT}: please put it into a report (.github/ISSUE_TEMPLATE/store-report.yml)")
    wrong = any(
        row.word == "WRONG" for result in results for rows in result.outcomes.values() for row in rows
    )
    return 1 if left or wrong else 0


def _clean_again(found: list[Bucket], prefix: str) -> int:
    if not prefix.startswith("gs3-check-") or len(prefix) != len("gs3-check-") + 8:
        raise Refused("a prefix of a run is gs3-check- and eight letters: it was printed at its beginning")
    left = sum(clean(replace(bucket, prefix=prefix, versioned="")) for bucket in found)
    say(f"{left} left below {prefix}")
    return 1 if left else 0


def _ask() -> None:
    if not sys.stdin.isatty():
        raise Refused("there is nobody to ask: pass YES=1")
    if input("Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Refused("as you wish")


if __name__ == "__main__":
    sys.exit(main())
