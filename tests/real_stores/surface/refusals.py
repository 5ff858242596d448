"""What is not there, who may not, and what the doctor says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from fsspec_guarded_s3 import GuardedS3Error
from fsspec_guarded_s3._cli.doctor import FAILED, examine
from fsspec_guarded_s3._values.paths import parse
from tests.real_stores.checking import No, check
from tests.real_stores.place import Place, folder


@check("what is not there is `FileNotFoundError`", quick=True)
def absent(place: Place) -> None:
    spot, wrong = place.fresh(), []
    fs, none = spot.fs, spot.path("none")
    calls: dict[str, Callable[[], object]] = {
        "cat_file": lambda: fs.cat_file(none),
        "info": lambda: fs.info(none),
        "ls": lambda: fs.ls(none),
        "open": lambda: fs.open(none),
        "rm_file": lambda: fs.rm_file(none),
        "cp_file": lambda: fs.cp_file(none, spot.path("x")),
        "mv": lambda: fs.mv(none, spot.path("x")),
    }
    if not place.root:
        calls["info of a bucket"] = lambda: fs.info("no-such-bucket-zz")
        calls["pipe_file to no bucket"] = lambda: fs.pipe_file("no-such-bucket-zz/k", b"")
    for name, call in calls.items():
        try:
            call()
        except FileNotFoundError:
            continue
        except GuardedS3Error as error:
            wrong.append(f"{name} raises {type(error).__name__}")
        else:
            wrong.append(f"{name} raises nothing")
    with folder() as here:
        with contextlib.suppress(FileNotFoundError):
            fs.get_file(none, str(here / "got"))
        assert not list(here.iterdir()), "get_file leaves a file"
    assert not fs.exists(none)
    if wrong:
        raise No(", ".join(wrong))


@check("a wrong secret, a wrong key and no key are refused", quick=True)
def identities(place: Place) -> None:
    spot = place.fresh()
    spot.put("a", b"1")
    wrong: dict[str, dict[str, object]] = {
        "a wrong secret": {"key": place.options.get("key") or "AKIAIOSFODNN7EXAMPLE", "secret": "wrong" * 8},
        "an unknown key": {"key": "AKIAIOSFODNN7EXAMPLE", "secret": "s" * 40},
        "no key": {"key": None, "secret": None, "anon": True},
    }
    taken, said = [], []
    for name, options in wrong.items():
        try:
            place.fs(**options, token=None).cat_file(spot.path("a"))
        except PermissionError:
            continue
        except GuardedS3Error as error:
            said.append(f"{name} is {type(error).__name__}")
        else:
            taken.append(name)
    if taken:
        raise No(f"taken: {', '.join(taken)}")
    if said:
        raise No("; ".join(said))


@check("buckets: made, listed, refused while not empty, removed", quick=True, needs_buckets=True)
def buckets(place: Place) -> str | None:
    spot = place.fresh()
    fs, bucket = spot.fs, spot.bucket
    assert bucket in fs.ls("", detail=False), "it is not listed"
    fs.pipe_file(spot.path("a"), b"")
    wrong = []
    for name, call in {"mkdir": lambda: fs.mkdir(bucket), "rmdir": lambda: fs.rmdir(bucket)}.items():
        try:
            call()
        except OSError:
            continue
        wrong.append(f"{name} of a bucket that is {'there' if name == 'mkdir' else 'not empty'} succeeds")
    assert fs.exists(spot.path("a")), "the object went with the refused rmdir"
    fs.rm(bucket, recursive=True)
    assert not fs.exists(bucket), "it is still there"
    return "; ".join(wrong) or None


@check("the doctor finds nothing wrong", quick=True)
def doctor(place: Place) -> str | None:
    spot = place.fresh()
    spot.put("a", b"1")
    findings = list(examine(spot.fs._client.options, parse(spot.path("a"))))
    failed = [f"{finding.name}: {finding.seen}" for finding in findings if finding.status == FAILED]
    if failed:
        raise No("; ".join(failed))
    assert spot.fs.find(spot.root) == [spot.path("a")], "the doctor leaves something"
    warned = [finding.seen for finding in findings if finding.status == "warning"]
    return "; ".join(warned) or None
