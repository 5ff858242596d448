"""The doctor: what stands between this machine and a bucket, step by step, each finding with its remedy.

A generator of findings; it prints nothing. It goes on where it can: a check is skipped only when one that it
needs has failed. `reaching` has the checks before the first request, `asking` those by requests,
`store_names` and `guard_report` those about the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .._values.paths import S3Path
from ..errors import GuardedS3Error
from ..options import Options
from . import asking, guard_report, reaching, store_names
from .findings import FAILED, SKIPPED, Finding, Patient, Seen, failed


def examine(options: Options, path: S3Path, read_only: bool = False) -> Iterator[Finding]:
    """All checks for `path` in their order, each as soon as it is done; none raises for what it finds.

    `read_only` leaves out those that write.
    """
    patient = Patient(options, path, read_only)
    out: set[str] = set()  # failed, or skipped because of such
    for name, needs, check in _CHECKS:
        lacking = next((need for need in needs if need in out), None)
        if lacking:
            out.add(name)
            yield Finding(name, SKIPPED, f"needs {lacking}")
            continue
        patient.details = {}
        try:
            status, seen, remedy = check(patient)
        except GuardedS3Error as error:
            status, seen, remedy = failed(error, "the store's own words; its logs may say more")
        if status == FAILED:
            out.add(name)
        yield Finding(name, status, seen, remedy, patient.details)


_CHECKS: tuple[tuple[str, tuple[str, ...], Callable[[Patient], Seen]], ...] = (
    ("endpoint", (), reaching.endpoint),
    ("dns", ("endpoint",), reaching.dns),
    ("tcp", ("dns",), reaching.tcp),
    ("tls", ("tcp",), reaching.tls),
    ("credentials", ("endpoint",), reaching.credentials),
    ("answer", ("tls", "credentials"), asking.answer),
    ("store", ("answer",), store_names.store),
    ("clock", ("answer",), asking.clock),
    ("region", ("answer",), asking.region),
    ("accepted", ("clock", "region"), asking.accepted),
    ("bucket", ("accepted",), asking.bucket),
    ("list", ("bucket",), asking.listing),
    ("read", ("bucket",), asking.read),
    ("delete", ("bucket",), asking.delete),
    ("write", ("delete",), asking.write),
    ("guards", ("write",), guard_report.guards),
    ("race", ("guards",), guard_report.race),
)
