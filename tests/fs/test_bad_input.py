"""Bad input: each is refused with its own class, in words that say what to do."""

import json
import os
import uuid
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pytest
from fsspec.callbacks import TqdmCallback

from fsspec_guarded_s3 import (
    CredentialsError,
    GuardedS3FileSystem,
    ObjectChangedError,
    ObjectNotFoundError,
)
from fsspec_guarded_s3.options import Options, part_size_for
from tests.servers import MotoServer

OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"part_sise": 1}, ValueError, "unknown storage option 'part_sise'; did you mean 'part_size'?"),
    ({"ContentType": "x"}, ValueError, "pass s3_additional_kwargs={'ContentType': ...}"),
    ({"zzz": 1}, ValueError, "unknown storage option 'zzz'"),
    ({"part_size": "5MB"}, TypeError, "part_size must be int, not str"),
    ({"part_size": 5.0}, TypeError, "part_size must be int, not float"),
    ({"max_attempts": True}, TypeError, "max_attempts must be int, not bool"),
    ({"anon": 1}, TypeError, "anon must be bool, not int"),
    ({"region": 1}, TypeError, "region must be str, not int"),
    ({"read_timeout": "5"}, TypeError, "read_timeout must be float, not str"),
    ({"part_size": 5 * 2**20 - 1}, ValueError, "part_size must be 5 MiB to 5 GiB"),
    ({"part_size": 5 * 2**30 + 1}, ValueError, "part_size must be 5 MiB to 5 GiB"),
    ({"multipart_threshold": 0}, ValueError, "multipart_threshold must be"),
    ({"max_concurrency": 0}, ValueError, "max_concurrency must be 1 to 256"),
    ({"max_attempts": 0}, ValueError, "max_attempts must be at least 1"),
    ({"read_timeout": 0}, ValueError, "read_timeout must be more than 0"),
    ({"connect_timeout": float("nan")}, ValueError, "connect_timeout must be more than 0"),
    ({"min_rate": -1}, ValueError, "min_rate must be 0"),
    ({"block_size": 0}, ValueError, "block_size must be at least 1"),
    ({"addressing_style": "host"}, ValueError, "addressing_style must be one of auto, path, virtual"),
    ({"key": "a"}, ValueError, "key and secret go together"),
    ({"secret": "b"}, ValueError, "key and secret go together"),
    ({"token": "c"}, ValueError, "token needs key and secret"),
    ({"endpoint_url": "localhost:9000"}, ValueError, "endpoint_url must begin with https:// or http://"),
]


@pytest.mark.parametrize("given, kind, words", OPTIONS)
def test_a_bad_option_is_refused_when_the_filesystem_is_made(
    given: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        GuardedS3FileSystem(**given, skip_instance_cache=True)
    assert words in str(caught.value)


@pytest.fixture
def fs(moto: MotoServer) -> GuardedS3FileSystem:
    return GuardedS3FileSystem(
        endpoint_url=moto.url, key=moto.key, secret=moto.secret, region="us-east-1", skip_instance_cache=True
    )


@pytest.fixture
def bucket(fs: GuardedS3FileSystem) -> str:
    name = f"bad-input-{uuid.uuid4().hex}"
    fs.mkdir(name)
    fs.pipe({f"{name}/file": b"data", f"{name}/dir/file": b"data"})
    return name


def write_after_close(fs: GuardedS3FileSystem, b: str) -> None:
    file = fs.open(f"{b}/new", "wb")
    file.close()
    file.write(b"x")


def read_after_close(fs: GuardedS3FileSystem, b: str) -> None:
    file = fs.open(f"{b}/file", "rb")
    file.close()
    file.read()


CALLS: dict[str, tuple[Callable[[GuardedS3FileSystem, str], Any], type[Exception], str]] = {
    "short bucket": (lambda fs, b: fs.cat_file("ab/key"), ValueError, "bucket name 'ab' is not valid"),
    "ip bucket": (lambda fs, b: fs.info("10.0.0.1/key"), ValueError, "not an IP address"),
    "empty path": (lambda fs, b: fs.cat_file(""), ValueError, "must begin with a bucket name"),
    "long key": (lambda fs, b: fs.pipe_file(f"{b}/{'k' * 1025}", b""), ValueError, "at most 1024"),
    "protocol": (
        lambda fs, b: fs.cat_file("gcs://b/k"),
        ValueError,
        "a URL of another protocol: use one of gs3",
    ),
    "mode z": (
        lambda fs, b: fs.open(f"{b}/file", "z"),
        ValueError,
        "mode 'z' is not supported: use r, w, x or a",
    ),
    "mode a++b": (lambda fs, b: fs.open(f"{b}/file", "a++b"), ValueError, "mode 'a++b' is not supported"),
    "mode wbt": (lambda fs, b: fs.open(f"{b}/file", "wbt"), ValueError, "mode 'wbt' is not supported"),
    "mode rbb": (lambda fs, b: fs.open(f"{b}/file", "rbb"), ValueError, "mode 'rbb' is not supported"),
    "mode +b": (lambda fs, b: fs.open(f"{b}/file", "+b"), ValueError, "mode '+b' is not supported"),
    "read dir": (lambda fs, b: fs.open(f"{b}/dir"), IsADirectoryError, "is a directory and cannot be read"),
    "read bucket": (lambda fs, b: fs.open(b), IsADirectoryError, "names a bucket"),
    "write bucket": (lambda fs, b: fs.open(b, "wb"), IsADirectoryError, "an object needs bucket/key"),
    "pipe bucket": (lambda fs, b: fs.pipe_file(b, b""), IsADirectoryError, "an object needs bucket/key"),
    "no bucket": (lambda fs, b: fs.cat_file(f"{b}-none/key"), ObjectNotFoundError, "bucket"),
    "write, no bucket": (lambda fs, b: fs.pipe_file(f"{b}-none/key", b""), ObjectNotFoundError, "bucket"),
    "no key": (lambda fs, b: fs.cat_file(f"{b}/none"), FileNotFoundError, "none"),
    "open, no key": (lambda fs, b: fs.open(f"{b}/none"), FileNotFoundError, "none"),
    "misspelt start": (lambda fs, b: fs.cat_file(f"{b}/file", strat=1), TypeError, "did you mean start?"),
    "misspelt in cat": (
        lambda fs, b: fs.cat([f"{b}/file"], on_eror="omit"),
        TypeError,
        "cat does not take on_eror; did you mean on_error?",
    ),
    "misspelt in get": (
        lambda fs, b: fs.get(f"{b}/dir", os.devnull, recursiv=True),
        TypeError,
        "get does not take recursiv; did you mean recursive?",
    ),
    "misspelt in put": (
        lambda fs, b: fs.put(os.path.dirname(__file__), f"{b}/x", recursiv=True),
        TypeError,
        "put does not take recursiv; did you mean recursive?",
    ),
    "misspelt in cp": (
        lambda fs, b: fs.cp(f"{b}/dir", f"{b}/x", recursiv=True),
        TypeError,
        "copy does not take recursiv; did you mean recursive?",
    ),
    "misspelt in mv": (
        lambda fs, b: fs.mv(f"{b}/file", f"{b}/x", max_depth=1),
        TypeError,
        "mv does not take max_depth; did you mean maxdepth?",
    ),
    "misspelt in pipe": (
        lambda fs, b: fs.pipe({f"{b}/file": b"x"}, content_type="text/csv"),
        TypeError,
        "pipe does not take content_type; did you mean ContentType?",
    ),
    "misspelt mode": (
        lambda fs, b: fs.pipe_file(f"{b}/file", b"", mod="create"),
        TypeError,
        "pipe_file does not take mod; did you mean mode?",
    ),
    "misspelt if_match": (
        lambda fs, b: fs.put_file(__file__, f"{b}/file", ifmatch="x"),
        TypeError,
        "put_file does not take ifmatch; did you mean if_match?",
    ),
    "misspelt max_gap": (lambda fs, b: fs.cat_ranges([f"{b}/file"], 0, 1, gap=1), TypeError, "take gap"),
    "misspelt version": (
        lambda fs, b: fs.info(f"{b}/file", versionid="1"),
        TypeError,
        "info does not take versionid; did you mean version_id?",
    ),
    "misspelt detail": (
        lambda fs, b: fs.ls(b, details=True),
        TypeError,
        "ls does not take details; did you mean detail?",
    ),
    "misspelt in exists": (
        lambda fs, b: fs.exists(b, refres=True),
        TypeError,
        "exists does not take refres; did you mean refresh?",
    ),
    "misspelt in find": (
        lambda fs, b: fs.find(b, max_depth=1),
        TypeError,
        "find does not take max_depth; did you mean maxdepth?",
    ),
    "misspelt at the root": (lambda fs, b: fs.find("", max_depth=1), TypeError, "did you mean maxdepth?"),
    "misspelt in glob": (
        lambda fs, b: fs.glob(f"{b}/*", detial=True),
        TypeError,
        "glob does not take detial; did you mean detail?",
    ),
    "misspelt in du": (
        lambda fs, b: fs.du(b, totals=False),
        TypeError,
        "du does not take totals; did you mean total?",
    ),
    "misspelt in walk": (
        lambda fs, b: list(fs.walk(b, top_down=False)),
        TypeError,
        "walk does not take top_down; did you mean topdown?",
    ),
    "misspelt in expand_path": (
        lambda fs, b: fs.expand_path(f"{b}/dir", recusive=True),
        TypeError,
        "expand_path does not take recusive; did you mean recursive?",
    ),
    "misspelt in mkdir": (
        lambda fs, b: fs.mkdir(f"{b}-new", regoin_name="eu-west-1"),
        TypeError,
        "mkdir does not take regoin_name; did you mean region_name?",
    ),
    "misspelt in sign": (lambda fs, b: fs.sign(f"{b}/file", expiry=5), TypeError, "expiry"),
    "misspelt in open for writing": (
        lambda fs, b: fs.open(f"{b}/file", "wb", contenttype="text/csv"),
        TypeError,
        "open does not take contenttype; did you mean ContentType?",
    ),
    "misspelt in open for reading": (
        lambda fs, b: fs.open(f"{b}/file", versionid="1"),
        TypeError,
        "open does not take versionid; did you mean version_id?",
    ),
    "misspelt block_size": (
        lambda fs, b: fs.open(f"{b}/file", "r", blocksiz=2**20),
        TypeError,
        "open does not take blocksiz; did you mean blocksize?",
    ),
    "misspelt encoding": (
        lambda fs, b: fs.read_text(f"{b}/file", encodin="utf-8"),
        TypeError,
        "open does not take encodin; did you mean encoding?",
    ),
    "unknown in open for writing": (
        lambda fs, b: fs.open(f"{b}/file", "wb", tags={"a": "b"}),
        TypeError,
        "open does not take tags",
    ),
    "nobody's keyword": (lambda fs, b: fs.find(b, zzz=1), TypeError, "find does not take zzz"),
    "rm dir": (lambda fs, b: fs.rm(f"{b}/dir"), IsADirectoryError, "pass recursive=True"),
    "rm nothing": (lambda fs, b: fs.rm(f"{b}/none", recursive=True), FileNotFoundError, "none"),
    "write after close": (write_after_close, ValueError, "closed"),
    "read after close": (read_after_close, ValueError, "closed"),
    "touch keyword": (lambda fs, b: fs.touch(f"{b}/file", acl="x"), TypeError, "touch does not take acl"),
    "expiration 0": (lambda fs, b: fs.sign(f"{b}/file", 0), ValueError, "expiration must be 1 to 604800"),
    "expiration": (lambda fs, b: fs.sign(f"{b}/file", 604_801), ValueError, "not 604801"),
    "sign both": (lambda fs, b: fs.sign(f"{b}/file", 60, expires=50), TypeError, "expiration or expires"),
    "sign expires": (lambda fs, b: fs.sign(f"{b}/file", expires=0), ValueError, "must be 1 to 604800"),
    "url both": (lambda fs, b: fs.url(f"{b}/file", 60, expiration=50), TypeError, "expiration or expires"),
    "sign_post both": (
        lambda fs, b: fs.sign_post(f"{b}/file", 60, expiration=50),
        TypeError,
        "expiration or expires",
    ),
    "start_after": (lambda fs, b: fs.iter_find(b, start_after=3), TypeError, "start_after must be str"),
    "sign method": (
        lambda fs, b: fs.sign(f"{b}/file", method="POST"),
        ValueError,
        "must be GET, HEAD, PUT or DELETE",
    ),
    "pipe mode": (
        lambda fs, b: fs.pipe_file(f"{b}/file", b"", mode="append"),
        ValueError,
        "mode must be 'overwrite' or 'create', not 'append'",
    ),
    "put mode": (lambda fs, b: fs.put_file(__file__, f"{b}/file", mode="x"), ValueError, "mode must be"),
    "copy mode": (lambda fs, b: fs.cp_file(f"{b}/file", f"{b}/f2", mode="x"), ValueError, "mode must be"),
    "if_match and create": (
        lambda fs, b: fs.pipe_file(f"{b}/file", b"", mode="create", if_match='"e"'),
        ValueError,
        "if_match and mode='create' exclude each other",
    ),
    "empty if_match": (
        lambda fs, b: fs.pipe_file(f"{b}/file", b"", if_match=""),
        ValueError,
        "if_match must be an ETag",
    ),
    "wrong if_match": (
        lambda fs, b: fs.pipe_file(f"{b}/file", b"", if_match='"e"'),
        ObjectChangedError,
        "file",
    ),
    "maxdepth": (lambda fs, b: fs.find(b, maxdepth=0), ValueError, "maxdepth must be at least 1"),
    "maxdepth of text": (lambda fs, b: fs.find(b, maxdepth="1"), TypeError, "maxdepth must be int, not str"),
    "maxdepth of a glob": (
        lambda fs, b: fs.glob(f"{b}/**", maxdepth=1.5),
        TypeError,
        "maxdepth must be int, not float",
    ),
    "maxdepth of rm": (
        lambda fs, b: fs.rm(b, recursive=True, maxdepth=True),
        TypeError,
        "maxdepth must be int, not bool",
    ),
    "prefix": (lambda fs, b: fs.find(b, prefix=b"f"), TypeError, "prefix must be str, not bytes"),
    "start": (lambda fs, b: fs.cat_file(f"{b}/file", start="1"), TypeError, "start must be int, not str"),
    "end": (lambda fs, b: fs.read_bytes(f"{b}/file", end=2.5), TypeError, "end must be int, not float"),
    "starts": (
        lambda fs, b: fs.cat_ranges([f"{b}/file"], ["1"], [2]),
        TypeError,
        "starts must be int, not str",
    ),
    "head": (lambda fs, b: fs.head(f"{b}/file", "3"), TypeError, "size must be int, not str"),
    "head, negative": (lambda fs, b: fs.head(f"{b}/file", -1), ValueError, "size must be at least 0, not -1"),
    "tail": (lambda fs, b: fs.tail(f"{b}/file", -1), ValueError, "size must be at least 0, not -1"),
    "version of a number": (
        lambda fs, b: fs.cat_file(f"{b}/file", version_id=3),
        TypeError,
        "version_id must be str, not int",
    ),
    "empty version": (lambda fs, b: fs.info(f"{b}/file", version_id=""), ValueError, "version_id is empty"),
    "walk, on_error": (
        lambda fs, b: list(fs.walk(b, on_error="ignore")),
        ValueError,
        "on_error must be omit, raise or a function, not 'ignore'",
    ),
    "no mode": (lambda fs, b: fs.open(f"{b}/file", None), TypeError, "mode must be str, not NoneType"),
    "if_match of a read": (
        lambda fs, b: fs.open(f"{b}/file", if_match=5),
        TypeError,
        "if_match must be an ETag",
    ),
    "cache_options": (
        lambda fs, b: fs.open(f"{b}/file", cache_options=5),
        TypeError,
        "cache_options must be a dict, not int",
    ),
    "no target of get": (
        lambda fs, b: fs.get(f"{b}/file", None),
        TypeError,
        "lpath must be a path or a list",
    ),
    "no target of cp": (lambda fs, b: fs.cp(f"{b}/file", None), TypeError, "path2 must be a path or a list"),
    "no target of put": (lambda fs, b: fs.put(__file__, 5), TypeError, "rpath must be a path or a list"),
    "nothing to put": (lambda fs, b: fs.put(None, f"{b}/x"), TypeError, "lpath must be a path or a list"),
    "put_file of a number": (
        lambda fs, b: fs.put_file(5, f"{b}/x"),
        TypeError,
        "lpath must be a str or os.PathLike, not int",
    ),
    "no bytes": (
        lambda fs, b: fs.pipe_file(f"{b}/file", None),
        TypeError,
        "value must be bytes-like, not NoneType",
    ),
    "region_name": (
        lambda fs, b: fs.mkdir(f"{b}-new", region_name=5),
        TypeError,
        "region_name must be str, not int",
    ),
    "expiration of text": (
        lambda fs, b: fs.sign(f"{b}/file", "5"),
        TypeError,
        "expiration must be int, not str",
    ),
    "expiration of a fraction": (
        lambda fs, b: fs.url(f"{b}/file", expires=1.5),
        TypeError,
        "expiration must be int, not float",
    ),
    "copy_kwargs": (
        lambda fs, b: fs.setxattr(f"{b}/file", copy_kwargs=5),
        TypeError,
        "copy_kwargs must be a dict, not int",
    ),
    "attr_name": (lambda fs, b: fs.getxattr(f"{b}/file", 5), TypeError, "attr_name must be str, not int"),
    "age": (lambda fs, b: fs.abort_uploads(b, "1d"), TypeError, "older_than must be seconds or a timedelta"),
    "versioned": (
        lambda fs, b: fs.make_bucket_versioned(b, "no"),
        TypeError,
        "versioned must be bool, not str",
    ),
    "max_attempts of update": (
        lambda fs, b: fs.update(f"{b}/file", lambda old: old, max_attempts="3"),
        TypeError,
        "max_attempts must be int, not str",
    ),
    "max_gap": (lambda fs, b: fs.cat_ranges([b], 0, 1, max_gap=-1), ValueError, "max_gap must be at least 0"),
    "lengths": (lambda fs, b: fs.cat_ranges([f"{b}/file"], [0, 1], [1]), ValueError, "the same length"),
    "a path, not a list": (lambda fs, b: fs.cat_ranges(b, 0, 1), TypeError, "paths must be a list"),
    "text to a binary file": (
        lambda fs, b: fs.open(f"{b}/new", "wb").write("x"),
        TypeError,
        "/new is open for bytes: write bytes-like data, not str, or open it as text, with mode",
    ),
    "text to a compressed file": (
        lambda fs, b: fs.open(f"{b}/new", "wb", compression="gzip").write("x"),
        TypeError,
        "/new is open for bytes: write bytes-like data, not str, or open it as text, with mode",
    ),
    "a number to a binary file": (
        lambda fs, b: fs.open(f"{b}/new", "xb").write(7),
        TypeError,
        "/new is open for bytes: write bytes-like data, not int",
    ),
    "text for bytes": (lambda fs, b: fs.pipe_file(f"{b}/new", "x"), TypeError, "not str: encode it"),
    "modified of a dir": (lambda fs, b: fs.modified(f"{b}/dir"), IsADirectoryError, "has no time"),
    "rmdir of a full bucket": (lambda fs, b: fs.rmdir(b), OSError, "empty"),
    "a number for a path": (
        lambda fs, b: fs.info(5),
        TypeError,
        "path must be a str or os.PathLike, not int",
    ),
    "bytes for a path": (lambda fs, b: fs.cat_file(b"b/k"), TypeError, "path must be a str or os.PathLike"),
    "None for a path": (lambda fs, b: fs.ls(None), TypeError, "not NoneType"),
    "a number to rm": (lambda fs, b: fs.rm(5), TypeError, "or a list of them, not int"),
    "bytes to get": (lambda fs, b: fs.get(b"b/k", "x"), TypeError, "or a list of them, not bytes"),
    "a number in a list": (lambda fs, b: fs.cat([f"{b}/file", 5]), TypeError, "not int"),
    "rm of everything": (
        lambda fs, b: fs.rm("", recursive=True),
        ValueError,
        "must begin with a bucket name",
    ),
    "rm of no list": (lambda fs, b: fs.rm([]), FileNotFoundError, "nothing matches"),
    "rm of a glob of nothing": (lambda fs, b: fs.rm(f"{b}/none*"), FileNotFoundError, "nothing matches"),
    "rm of nothing": (lambda fs, b: fs.rm(f"{b}/none"), FileNotFoundError, "neither an object nor a dir"),
    "rm of no directory": (lambda fs, b: fs.rm(f"{b}/none/"), FileNotFoundError, "no such directory"),
    "rm of a bucket": (lambda fs, b: fs.rm(b), IsADirectoryError, "pass recursive=True"),
    "rm, no bucket": (lambda fs, b: fs.rm(f"{b}-none", recursive=True), FileNotFoundError, "bucket"),
    "rm, depth 0": (lambda fs, b: fs.rm(b, recursive=True, maxdepth=0), ValueError, "maxdepth must be"),
    "get, depth 0": (
        lambda fs, b: fs.get(b, "x", recursive=True, maxdepth=0),
        ValueError,
        "maxdepth must be",
    ),
    "put, depth 0": (
        lambda fs, b: fs.put(__file__, b, recursive=True, maxdepth=0),
        ValueError,
        "maxdepth must be",
    ),
    "cp, depth 0": (
        lambda fs, b: fs.cp(b, f"{b}/x", recursive=True, maxdepth=0),
        ValueError,
        "maxdepth must be",
    ),
    "mv, depth 0": (
        lambda fs, b: fs.mv(b, f"{b}/x", recursive=True, maxdepth=0),
        ValueError,
        "maxdepth must be",
    ),
    "glob, depth 0": (lambda fs, b: fs.glob(f"{b}/**", maxdepth=0), ValueError, "maxdepth must be"),
    "walk, depth 0": (lambda fs, b: list(fs.walk(b, maxdepth=0)), ValueError, "maxdepth must be"),
    "get, lengths": (
        lambda fs, b: fs.get([f"{b}/file", f"{b}/dir/file"], ["x"]),
        ValueError,
        "2 sources, but 1 targets",
    ),
    "put, lengths": (
        lambda fs, b: fs.put([__file__], [f"{b}/x", f"{b}/y"]),
        ValueError,
        "1 sources, but 2 targets",
    ),
    "get, callback": (
        lambda fs, b: fs.get(f"{b}/file", "x", callback="x"),
        TypeError,
        "callback must be an instance of fsspec's Callback, not str",
    ),
    "get_file, callback": (
        lambda fs, b: fs.get_file(f"{b}/file", "x", callback=print),
        TypeError,
        "callback must be an instance",
    ),
    "put, callback": (
        lambda fs, b: fs.put(__file__, f"{b}/x", callback=TqdmCallback),
        TypeError,
        "callback must be an instance of fsspec's Callback, not TqdmCallback",
    ),
    "put_file, callback": (
        lambda fs, b: fs.put_file(__file__, f"{b}/x", callback=True),
        TypeError,
        "callback must be an instance of fsspec's Callback, not bool",
    ),
    "cp, lengths": (lambda fs, b: fs.cp([f"{b}/file"], []), ValueError, "1 sources, but 0 targets"),
    "mv, lengths": (lambda fs, b: fs.mv([f"{b}/file"], []), ValueError, "1 sources, but 0 targets"),
    "get of nothing": (lambda fs, b: fs.get(f"{b}/none", "none"), FileNotFoundError, "none"),
    "get of a glob of nothing": (
        lambda fs, b: fs.get(f"{b}/none*", "none"),
        FileNotFoundError,
        "nothing matches",
    ),
    "get of no tree": (lambda fs, b: fs.get(f"{b}/none", "x", recursive=True), FileNotFoundError, "none"),
    "put of nothing": (lambda fs, b: fs.put("/does/not/exist", f"{b}/x"), FileNotFoundError, "exist"),
    "cp of nothing": (lambda fs, b: fs.cp(f"{b}/none", f"{b}/x"), FileNotFoundError, "none"),
    "mv of nothing": (lambda fs, b: fs.mv(f"{b}/none", f"{b}/x"), FileNotFoundError, "none"),
    "cat of a glob of nothing": (lambda fs, b: fs.cat(f"{b}/none*"), FileNotFoundError, "nothing matches"),
    "cat of directories": (lambda fs, b: fs.cat(f"{b}/d*"), FileNotFoundError, "only directories"),
    "cat, on_error": (
        lambda fs, b: fs.cat(f"{b}/file", on_error="ignore"),
        ValueError,
        "on_error must be one",
    ),
    "cp, on_error": (
        lambda fs, b: fs.cp(f"{b}/file", f"{b}/x", on_error="omit"),
        ValueError,
        "on_error must be one of raise, ignore",
    ),
    "pipe of text": (lambda fs, b: fs.pipe(f"{b}/file", "text"), TypeError, "bytes-like"),
    "pipe of a list": (
        lambda fs, b: fs.pipe([f"{b}/file"], b"x"),
        ValueError,
        "path must be a path, or a dict",
    ),
    "sizes of one path": (lambda fs, b: fs.sizes(f"{b}/file"), TypeError, "must be a list of paths, not str"),
    "sizes of bytes": (lambda fs, b: fs.sizes(b"ab"), TypeError, "must be a list of paths, not bytes"),
    "sizes of a number": (lambda fs, b: fs.sizes(5), TypeError, "must be a list of paths, not int"),
    "a URL as pathlib has it": (
        lambda fs, b: fs.cat_file(PurePosixPath(f"gs3://{b}/file")),
        ValueError,
        "path begins with 'gs3:/', but a URL begins with 'gs3://': pathlib.Path takes one slash away",
    ),
    "rmdir of a full directory": (lambda fs, b: fs.rmdir(f"{b}/dir"), OSError, "not empty"),
    "rmdir of nothing": (lambda fs, b: fs.rmdir(f"{b}/none"), FileNotFoundError, "no such directory"),
    "a slash at the end": (
        lambda fs, b: fs.pipe_file(f"{b}/file/", b"x"),
        IsADirectoryError,
        "leave out the slash at its end",
    ),
    "a file for a folder": (lambda fs, b: fs.get_file(f"{b}/file", "/"), IsADirectoryError, "folder"),
    "two for one": (
        lambda fs, b: fs.cp([f"{b}/file", f"{b}/dir/file"], f"{b}/x/"),
        ValueError,
        "would both become",
    ),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", CALLS)
def test_a_bad_call_is_refused_and_changes_nothing(fs: GuardedS3FileSystem, bucket: str, name: str) -> None:
    call, kind, words = CALLS[name]
    with pytest.raises(kind) as caught:
        call(fs, bucket)
    assert words in str(caught.value)
    assert fs.cat_file(f"{bucket}/file") == fs.cat_file(f"{bucket}/dir/file") == b"data"


def test_plain_http_to_another_host_is_refused_before_anything_is_sent() -> None:
    fs = GuardedS3FileSystem(endpoint_url="http://s3.invalid", key="a", secret="b", skip_instance_cache=True)
    with pytest.raises(ValueError, match=r"plain http to s3.invalid: .*Use https, or pass allow_http=True"):
        fs.cat_file("bucket/key")


def test_missing_credentials_say_where_they_may_come_from(moto: MotoServer) -> None:
    fs = GuardedS3FileSystem(endpoint_url=moto.url, region="us-east-1", skip_instance_cache=True)
    with pytest.raises(CredentialsError, match="no credentials found: pass key and secret") as caught:
        fs.cat_file("bucket/key")
    assert isinstance(caught.value, PermissionError)


def test_an_object_over_what_s3_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="over what S3 holds in one object"):
        part_size_for(10_000 * 5 * 2**30 + 1, 16 * 2**20)


def test_secrets_are_in_no_repr_and_no_json_without_passwords() -> None:
    secrets = {"key": "AKIAKEY", "secret": "hush-secret", "token": "hush-token"}
    fs = GuardedS3FileSystem(**secrets, region="us-east-1", skip_instance_cache=True)
    for text in (repr(fs), str(fs), repr(Options(**secrets)), repr(fs._client)):
        assert not [word for word in secrets.values() if word in text]
    text = fs.to_json(include_password=False)
    assert not [word for word in secrets.values() if word in text]
    assert json.loads(text)["region"] == "us-east-1"
    assert not [word for word in secrets.values() if word in fs.to_json()]
    assert "hush-secret" in fs.to_json(include_password=True)


def test_rm_of_what_is_not_there_is_an_error(fs: GuardedS3FileSystem, bucket: str) -> None:
    """S3 itself says nothing when a key is missing; the file beside it stays."""
    fs.pipe_file(f"{bucket}/there", b"1")
    with pytest.raises(FileNotFoundError):
        fs.rm([f"{bucket}/there", f"{bucket}/not-there"])
    assert fs.cat_file(f"{bucket}/there") == b"1"


@pytest.mark.parametrize("mode", ["rb", "r", "wb", "w"])
def test_what_tools_pass_to_open_and_means_nothing_here_is_taken(
    fs: GuardedS3FileSystem, bucket: str, mode: str
) -> None:
    """dask passes `default_cache`, fsspec `blocksize`, callers of s3fs the others."""
    given = {"default_cache": "none", "fill_cache": False, "size": 4, "blocksize": 0}
    given |= {"acl": "", "requester_pays": False}
    with fs.open(f"{bucket}/{mode}" if "w" in mode else f"{bucket}/file", mode, **given) as file:
        assert not file.closed


@pytest.mark.parametrize("mode", ["rb", "r"])
@pytest.mark.parametrize("cache_type", ["none", "prefetch", "readahead"])
def test_the_size_that_a_reader_is_given_has_to_be_that_of_the_object(
    fs: GuardedS3FileSystem, bucket: str, mode: str, cache_type: str
) -> None:
    """fsspec's callers pass it where they know it: a file that ends earlier would lose bytes in silence."""
    with fs.open(f"{bucket}/file", mode, size=4, cache_type=cache_type) as file:
        assert len(file.read()) == 4
    for size in (0, 3, 5):
        with pytest.raises(ObjectChangedError, match="has 4 bytes, and not"):
            fs.open(f"{bucket}/file", mode, size=size, cache_type=cache_type)
    for wrong, error in (("4", TypeError), (4.0, TypeError), (True, TypeError), (-1, ValueError)):
        with pytest.raises(error, match="size"):
            fs.open(f"{bucket}/file", mode, size=wrong, cache_type=cache_type)


def test_a_reader_takes_a_keyword_that_looks_like_none_of_ours(fs: GuardedS3FileSystem, bucket: str) -> None:
    """Which ones other tools will pass is not known; nothing is lost by it, as it would be by a write."""
    assert fs.open(f"{bucket}/file", "rb", profile_of_some_tool=1).read() == b"data"
