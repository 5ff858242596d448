"""What programs for s3fs do beyond the verbs of fsspec: sessions, uploads, pieces of one call, merges."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    ConfigurationError,
    CredentialsError,
    GuardedS3FileSystem,
    ObjectChangedError,
    ObjectExistsError,
    TouchUnsupportedError,
)
from fsspec_guarded_s3._fs import recent_rows
from tests.fake_s3 import FakeS3
from tests.scripted_server import ScriptedServer, respond
from tests.servers import MotoServer
from tests.stores import MIB, Store, new_store


def filesystem(url: str, **options: Any) -> GuardedS3FileSystem:
    given = {"endpoint_url": url, "key": "k", "secret": "s", "region": "us-east-1", "probe": "never"}
    return GuardedS3FileSystem(**given | options, skip_instance_cache=True)


@pytest.fixture
def store(moto: MotoServer) -> Store:
    return new_store(moto)


# --- names and answers ---------------------------------------------------------------------------


def test_the_bytes_of_pipe_file_go_by_either_name(store: Store) -> None:
    path = store.path("k")
    store.fs.pipe_file(path, data=b"1")
    assert store.fs.cat_file(path) == b"1"
    store.fs.pipe_file(path, value=b"2")
    assert asyncio.run(_piped(store.fs, path)) == b"3"
    with pytest.raises(TypeError, match="takes the bytes once"):
        store.fs.pipe_file(path, b"1", data=b"2")
    with pytest.raises(TypeError, match="value must be bytes-like, not NoneType"):
        store.fs.pipe_file(path)  # type: ignore[call-overload]
    assert store.fs.cat_file(path) == b"3"


async def _piped(fs: GuardedS3FileSystem, path: str) -> bytes:
    await fs._pipe_file(path, data=b"3")
    return await fs._cat_file(path)


def test_find_with_directories_names_the_bucket_as_s3fs_does(store: Store) -> None:
    """By levels alone; a directory that was asked for is one of its directories always."""
    for key in ("d/x", "d/e/y"):
        store.fs.pipe_file(store.path(key), b"1")
    below = [store.path(name) for name in ("d", "d/e", "d/e/y", "d/x")]
    cached = GuardedS3FileSystem(**store.options, use_listings_cache=True, skip_instance_cache=True)
    for fs in (store.fs, cached, cached):
        assert sorted(fs.find(store.bucket, withdirs=True)) == below
        assert sorted(fs.find(store.bucket, withdirs=True, detail=True)) == below
        assert fs.find(store.bucket, withdirs=True, maxdepth=1) == [store.bucket, store.path("d")]
        assert sorted(fs.find(store.bucket, withdirs=True, maxdepth=2)) == [
            store.bucket,
            *below[:2],
            below[3],
        ]
        assert sorted(fs.find(store.path("d"), withdirs=True)) == below
        assert sorted(fs.find(store.path("d"), withdirs=True, maxdepth=1)) == [*below[:2], below[3]]


@pytest.mark.parametrize("kind", [str, PurePosixPath])
def test_cat_of_one_object_gives_its_bytes_and_of_several_a_dict(store: Store, kind: Any) -> None:
    """With `recursive` too, where nothing but the object was found."""
    fs, path = store.fs, store.path
    fs.pipe(kind(path("a")), b"1")
    fs.pipe({path("d"): b"2", path("d/x"): b"3"})
    for recursive in (False, True):
        assert fs.cat(kind(path("a")), recursive=recursive) == b"1"
        assert fs.cat([kind(path("a"))], recursive=recursive) == {path("a"): b"1"}
        assert fs.cat(kind(path("[a]")), recursive=recursive) == {path("a"): b"1"}
    assert fs.cat(kind(path("d")), recursive=True) == {path("d"): b"2", path("d/x"): b"3"}
    assert fs.cat(kind(path("d"))) == b"2"


def test_an_object_that_a_list_names_twice_is_one_source(store: Store, tmp_path: Path) -> None:
    """By its name, and by a pattern."""
    fs, path = store.fs, store.path
    fs.pipe({path("d/a"): b"1", path("d/b"): b"2"})
    both = [path("d/*"), path("d/a"), f"gs3://{path('d/b')}"]
    fs.get(both, str(tmp_path / "got"))
    assert {file.name: file.read_bytes() for file in (tmp_path / "got").iterdir()} == {"a": b"1", "b": b"2"}
    fs.cp(both, path("e"))
    assert fs.cat(both) == {path("d/a"): b"1", path("d/b"): b"2"}
    fs.mv(both, path("f"))
    fs.rm([path("e/*"), path("e/a")])
    assert fs.find(store.bucket) == [path("f/a"), path("f/b")]


@pytest.mark.parametrize("keys", [("a/x", "b"), ("a/x",), ("x",)], ids=str)
@pytest.mark.parametrize("slash", ["", "/"])
def test_of_a_bucket_goes_what_is_in_it(
    store: Store, tmp_path: Path, slash: str, keys: tuple[str, ...]
) -> None:
    """Also where the target is there: the name of a bucket is no part of a tree, as in fsspec."""
    fs, target = store.fs, f"{store.bucket}-copy"
    fs.pipe({store.path(key): b"1" for key in keys})
    fs.mkdir(target)
    fs.pipe_file(f"{target}/there/old", b"1")
    fs.get(store.bucket + slash, str(tmp_path), recursive=True)
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()} == set(keys)
    fs.cp(store.bucket + slash, f"{target}/there", recursive=True)
    fs.cp(store.bucket + slash, target, recursive=True)
    named = {*(f"{target}/there/{key}" for key in keys), *(f"{target}/{key}" for key in keys)}
    assert set(fs.find(target)) == {f"{target}/there/old", *named}


def test_a_tree_creates_its_bucket_where_that_is_asked_for(store: Store, tmp_path: Path) -> None:
    (tmp_path / "tree" / "in").mkdir(parents=True)
    (tmp_path / "tree" / "in" / "f").write_bytes(b"f")
    with pytest.raises(FileNotFoundError):
        store.fs.put(str(tmp_path / "tree"), f"{store.bucket}-new", recursive=True)
    fs = GuardedS3FileSystem(**store.options, create_buckets=True, skip_instance_cache=True)
    with pytest.raises(FileNotFoundError):  # a file needs no folder, so it makes none, as with s3fs
        fs.put(str(tmp_path / "tree" / "in" / "f"), f"{store.bucket}-new/f")
    for _ in range(2):
        fs.put(str(tmp_path / "tree"), f"{store.bucket}-new", recursive=True)
    assert fs.find(f"{store.bucket}-new")[0] == f"{store.bucket}-new/in/f"


def test_dircache_shows_what_was_just_listed(store: Store) -> None:
    """Without a listing cache; what is in the parent and in every directory of a tree. Writes drop it."""
    fs, path = store.fs, store.path
    fs.pipe({path("a"): b"1", path("d/x"): b"22", path("d/e/y"): b"1", path("dd/z"): b"1"})
    assert not fs.dircache and path("d") not in fs.dircache
    listed = fs.ls(path("d"), detail=True)
    assert list(fs.dircache) == [path("d")] and fs.dircache[path("d")] == listed
    assert [row["name"] for row in fs.dircache[path("d")]] == [path("d/e"), path("d/x")]
    assert store.bucket not in fs.dircache and path("dd") not in fs.dircache and "" not in fs.dircache
    fs.dircache[path("d")][0]["name"] = "changed"
    fs.dircache[path("new")] = []
    assert fs.dircache[path("d")] == listed and len(fs.dircache) == 1
    fs.find(store.bucket)
    assert list(fs.dircache) == [store.bucket, *(path(name) for name in ("d", "d/e", "dd"))]
    assert {row["name"]: row["type"] for row in fs.dircache[store.bucket]} == {
        path("a"): "file",
        path("d"): "directory",
        path("dd"): "directory",
    }
    assert [row["name"] for row in fs.dircache[path("dd")]] == [path("dd/z")]
    fs.pipe_file(path("d/new"), b"1")
    assert path("d") not in fs.dircache
    with pytest.raises(KeyError):
        fs.dircache[path("d")]
    fs.ls(path("d"))
    assert fs.dircache.pop(path("d")) and not fs.dircache
    fs.ls(path("d"))
    fs.dircache.clear()
    assert path("d") not in fs.dircache


def test_dircache_of_old_listings_is_empty(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.fs.pipe_file(store.path("d/x"), b"1")
    store.fs.ls(store.path("d"))
    assert store.path("d") in store.fs.dircache
    late = recent_rows.clock() + 6
    monkeypatch.setattr(recent_rows, "clock", lambda: late)
    assert store.path("d") not in store.fs.dircache and len(store.fs.dircache) == 0


# --- credentials for workers ---------------------------------------------------------------------


def test_workers_get_what_they_need(moto: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key with its token as it is, a key alone as one of STS that ends, and nothing where there is none."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto.url)
    key = {"key": "AKIAQ", "secret": "hush"}
    assert filesystem(moto.url, key=None, secret=None).get_delegated_s3pars() == {"anon": False}
    assert GuardedS3FileSystem(anon=True).get_delegated_s3pars() == {"anon": True}
    assert filesystem(moto.url, **key, token="t").get_delegated_s3pars() == {
        **key,
        "token": "t",
        "anon": False,
    }
    fs = filesystem(moto.url, **key)
    for given in (fs.get_delegated_s3pars(exp=900), asyncio.run(fs._get_delegated_s3pars())):
        assert given.keys() == {"key", "secret", "token", "anon"}
        assert given["key"] != "AKIAQ" and given["secret"] != "hush" and given["token"]
        filesystem(moto.url, **given).ls("")
    with pytest.raises(ValueError, match="exp must be at least 900"):
        fs.get_delegated_s3pars(exp=1)


def test_the_keys_of_another_store_are_not_shown_to_aws(moto: MotoServer) -> None:
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL_STS"):
        filesystem(moto.url).get_delegated_s3pars()


def test_a_refusal_of_sts_is_an_error_about_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: Any) -> Any:
        return respond(
            403, b"<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></ErrorResponse>"
        )

    with ScriptedServer(handler=refuse) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        with pytest.raises(CredentialsError, match=r"could not be delegated.*InvalidClientTokenId") as caught:
            filesystem(server.url, secret="hush").get_delegated_s3pars()
    assert "hush" not in str(caught.value) and caught.value.__cause__ is None


# --- the pieces of one call ----------------------------------------------------------------------


def test_a_read_goes_in_the_pieces_of_its_call(tmp_path: Path) -> None:
    fake, data = FakeS3("bucket"), bytes(range(256)) * 4096
    fake.put("bucket", "key", data)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        reads = {
            "cat_file": lambda **pieces: fs.cat_file("bucket/key", **pieces),
            "cat": lambda **pieces: fs.cat("bucket/key", **pieces),
            "get_file": lambda **pieces: _got(fs.get_file, tmp_path, **pieces),
            "get": lambda **pieces: _got(fs.get, tmp_path, **pieces),
        }
        for name, read in reads.items():
            before = len(server.requests)
            assert read(chunksize=2**18, max_concurrency=2) == data, name
            pieces = [r for r in server.requests[before:] if r.method == "GET"]
            assert len(pieces) >= 4, name
            before = len(server.requests)
            assert read(chunksize=None, max_concurrency=None) == data, name
            assert len([r for r in server.requests[before:] if r.method == "GET"]) < 4, name


def _got(verb: Any, folder: Path, **pieces: Any) -> bytes:
    verb("bucket/key", str(folder / "got"), **pieces)
    return (folder / "got").read_bytes()


def test_a_write_goes_in_the_pieces_of_its_call(store: Store, tmp_path: Path) -> None:
    fs = GuardedS3FileSystem(
        **{**store.options, "multipart_threshold": 64 * MIB, "part_size": 16 * MIB}, skip_instance_cache=True
    )
    data = bytes(11 * MIB)
    (tmp_path / "file").write_bytes(data)
    fs.pipe_file(store.path("pipe_file"), data, chunksize=5 * MIB, max_concurrency=1)
    fs.pipe({store.path("pipe"): data}, chunksize=5 * MIB)
    fs.put_file(tmp_path / "file", store.path("put_file"), chunksize=5 * MIB)
    fs.put(str(tmp_path / "file"), store.path("put"), chunksize=5 * MIB, max_concurrency=2)
    fs.pipe_file(store.path("whole"), data)
    assert {row["name"]: row["ETag"][-3:-1] for row in fs.ls(store.bucket, detail=True)} == {
        store.path("pipe"): "-3",
        store.path("pipe_file"): "-3",
        store.path("put"): "-3",
        store.path("put_file"): "-3",
        store.path("whole"): fs.info(store.path("whole"))["ETag"][-3:-1],
    }
    assert "-" not in fs.info(store.path("whole"))["ETag"]
    assert fs.size(store.path("put")) == len(data)


@pytest.mark.parametrize(
    "pieces, kind, words",
    [
        ({"chunksize": 0}, ValueError, "chunksize must be at least 1"),
        ({"chunksize": "1"}, TypeError, "chunksize must be int"),
        ({"max_concurrency": 0}, ValueError, "max_concurrency must be at least 1"),
        ({"max_concurrency": 257}, ValueError, "max_concurrency must be 1 to 256"),
        ({"max_concurrency": True}, TypeError, "max_concurrency must be int"),
    ],
)
def test_pieces_that_cannot_be_are_refused(pieces: Any, kind: type[Exception], words: str) -> None:
    """Before anything is sent."""
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        for call in (
            lambda: fs.cat_file("bucket/key", **pieces),
            lambda: fs.get_file("bucket/key", "nowhere", **pieces),
            lambda: fs.pipe_file("bucket/key", b"1", **pieces),
            lambda: fs.put_file(__file__, "bucket/key", **pieces),
        ):
            with pytest.raises(kind, match=words):
                call()
        with pytest.raises(ValueError, match="chunksize of a write is its part size: 5 MiB"):
            fs.pipe_file("bucket/key", b"1", chunksize=5 * MIB - 1)
        assert server.requests == []


def test_a_batch_is_as_large_as_its_call_says(store: Store, tmp_path: Path) -> None:
    fs, names = store.fs, [store.path(f"{n}") for n in range(5)]
    fs.pipe(dict.fromkeys(names, b"1"), batch_size=2)
    assert fs.cat(names, batch_size=1) == dict.fromkeys(names, b"1")
    assert fs.cat_ranges(names, 0, 1, batch_size=2) == [b"1"] * 5
    fs.get(names, str(tmp_path), batch_size=2)
    fs.put([str(tmp_path / f"{n}") for n in range(5)], f"{store.bucket}/put/", batch_size=-1)
    fs.copy(f"{store.bucket}/put/", f"{store.bucket}/copy/", recursive=True, batch_size=2)
    assert (
        fs.sizes(names, batch_size=2) == fs.sizes(iter(names)) == asyncio.run(fs._sizes(names, 1)) == [1] * 5
    )
    fs.mv(f"{store.bucket}/copy/", f"{store.bucket}/mv/", recursive=True, batch_size=2)
    assert len(fs.find(f"{store.bucket}/mv")) == 5
    for batch_size in (0, "2"):
        with pytest.raises((ValueError, TypeError)):
            fs.cat(names, batch_size=batch_size)


# --- what is told of a write -----------------------------------------------------------------------


def test_a_write_tells_what_it_wrote(store: Store) -> None:
    fs = GuardedS3FileSystem(**store.options, version_aware=True)
    fs.make_bucket_versioned(store.bucket)
    writes: list[Callable[[], Any]] = [
        lambda: fs.pipe_file(store.path("a"), b"1"),
        lambda: fs.touch(store.path("a")),
        lambda: asyncio.run(fs._pipe_file(store.path("a"), b"2")),
        lambda: fs.merge(store.path("a"), [store.path("a"), store.path("a")]),
    ]
    for write in writes:
        answer = write()
        info = fs.info(store.path("a"), refresh=True)
        assert answer == {"ETag": info["ETag"], "VersionId": info["VersionId"]}
        assert info["VersionId"]
    assert fs.cat_file(store.path("a")) == b"22"
    with fs.transaction:
        assert fs.pipe_file(store.path("b"), b"1") == {}


def test_rm_tells_what_it_deleted(store: Store) -> None:
    fs = store.fs
    fs.pipe({store.path(key): b"" for key in ("a", "b", "d/c", "d/e/f")})
    assert fs.rm(store.path("a")) == [store.path("a")]
    assert sorted(fs.rm(store.path("d"), recursive=True)) == [store.path("d/c"), store.path("d/e/f")]
    assert fs.rm(store.bucket, recursive=True) == [store.path("b")]


def test_a_bucket_has_the_keys_that_s3fs_shows(store: Store) -> None:
    info = store.fs.info(store.bucket)
    assert (info["type"], info["StorageClass"], info["VersionId"]) == ("directory", "DIRECTORY", None)


# --- the classes of errors -------------------------------------------------------------------------


def test_touch_of_what_is_there_has_both_classes(store: Store) -> None:
    store.fs.pipe_file(store.path("a"), b"data")
    for kind in (ValueError, NotImplementedError, TouchUnsupportedError, OSError):
        with pytest.raises(kind, match="truncate=True replaces it"):
            store.fs.touch(store.path("a"), truncate=False)
    assert store.fs.cat_file(store.path("a")) == b"data"


def test_rmdir_of_what_is_not_empty_is_a_file_exists_error(store: Store) -> None:
    store.fs.touch(store.path("d/a"))
    for path in (store.path("d"), store.bucket):
        with pytest.raises(FileExistsError, match=r"not empty|holds"):
            store.fs.rmdir(path)


def test_a_writer_has_no_attributes_to_change(store: Store) -> None:
    with store.fs.open(store.path("a"), "wb", block_size=6 * MIB) as file:
        with pytest.raises(NotImplementedError, match="open for writing"):
            file.setxattr(a="1")
        file.write(b"123")
        assert (file.fs, file.blocksize, file.loc) == (store.fs, 6 * MIB, 3)


# --- directories -----------------------------------------------------------------------------------


def test_touch_with_a_slash_makes_the_marker_of_a_directory(store: Store) -> None:
    fs = store.fs
    fs.touch(store.path("d/"))
    assert (fs.isdir(store.path("d")), fs.ls(store.path("d")), fs.find(store.bucket)) == (True, [], [])
    fs.touch(store.path("d/"), truncate=False)  # it is there: that is all it can be
    fs.pipe_file(store.path("d/a"), b"1")
    fs.rm(store.path("d"), recursive=True)
    assert not fs.exists(store.path("d"))
    with pytest.raises(IsADirectoryError, match="mkdir"):
        fs.touch(f"{store.bucket}/")


def test_get_of_an_object_beside_a_directory_of_its_name_gets_the_rest(store: Store, tmp_path: Path) -> None:
    store.fs.pipe({store.path(key): b"1" for key in ("t/k", "t/k/x", "t/k/y/z", "t/a")})
    with pytest.warns(UserWarning, match=f"{store.path('t/k')}: not downloaded"):
        store.fs.get(store.path("t/"), str(tmp_path), recursive=True)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["a", str(Path("k/x")), str(Path("k/y/z"))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.fs.get_file(store.path("t/k"), tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == b"1"


# --- sessions and uploads --------------------------------------------------------------------------


def test_sessions_can_be_opened_renewed_and_closed(store: Store) -> None:
    fs = store.fs
    fs.connect()
    fs.connect(refresh=True)
    store.fs.pipe_file(store.path("a"), b"1")

    async def program() -> bytes:
        session = await fs.set_session()
        data: bytes = await fs._cat_file(store.path("a"))
        await session.close()
        await (await fs._connect()).close()
        return data

    assert asyncio.run(program()) == b"1"
    assert fs.session is fs.connect()
    fs.close_session(None, fs.session)
    fs.invalidate_region_cache()
    assert fs.cat_file(store.path("a")) == b"1"


def test_a_renewed_session_has_the_credentials_of_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    used = []
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = GuardedS3FileSystem(endpoint_url=server.url, region="us-east-1", skip_instance_cache=True)
        for key in ("FIRST", "SECOND"):
            file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n")
            fs.connect(refresh=True)
            fs.isdir("bucket")
            used.append(server.requests[-1].headers["authorization"].split("Credential=")[1].split("/")[0])
    assert used == ["FIRST", "SECOND"]


def test_regions_are_learned_again_after_they_were_forgotten() -> None:
    fs = GuardedS3FileSystem(key="k", secret="s", region="us-east-1", skip_instance_cache=True)
    signer = fs._client.store.signer
    assert signer.learn_region("bucket", "eu-west-1")
    assert signer.endpoint("bucket").region == "eu-west-1"
    fs.invalidate_region_cache()
    assert signer.endpoint("bucket").region == "us-east-1"


def test_uploads_are_listed_and_cleared_but_not_those_of_this_process(store: Store) -> None:
    fs = store.fs
    left = fs._client.multipart.create_multipart_upload(fs._paths.target(store.path("left")), {})
    other = fs._client.multipart.create_multipart_upload(fs._paths.target(store.path("other")), {})
    writer = fs.open(store.path("live"), "wb")
    writer.write(bytes(11 * MIB))
    found = {row["Key"]: row["UploadId"] for row in fs.list_multipart_uploads(store.bucket)}
    assert (found.keys(), found["left"]) == ({"left", "other", "live"}, left)
    with pytest.raises(ValueError, match="being written by this process"):
        fs.abort_mpu(store.bucket, "live", found["live"])
    fs.abort_mpu(store.bucket, "other", other)
    fs.clear_multipart_uploads(store.bucket)
    assert [row["Key"] for row in fs.list_multipart_uploads(store.bucket)] == ["live"]
    writer.close()
    assert fs.size(store.path("live")) == 11 * MIB
    assert fs.list_multipart_uploads(store.bucket) == []


# --- merge -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(5, 5, 1), (1, 5, 0), (0,), (3, 3), (6, 12, 0)], ids=str)
def test_merge_makes_one_object_of_several(store: Store, sizes: tuple[int, ...]) -> None:
    parts = [bytes([65 + n]) * (size * MIB + n) for n, size in enumerate(sizes)]
    names = [store.path(f"part-{n}") for n in range(len(parts))]
    store.fs.pipe(dict(zip(names, parts, strict=True)))
    store.fs.merge(store.path("all.csv"), names)
    assert store.fs.cat_file(store.path("all.csv")) == b"".join(parts)
    assert store.fs.info(store.path("all.csv"), refresh=True)["ContentType"] == "text/csv"
    assert store.fs.exists(names[0])
    assert store.pending() == []


def test_merge_publishes_nothing_when_it_fails(store: Store) -> None:
    fs = store.fs
    fs.pipe_file(store.path("a"), bytes(5 * MIB))
    fs.pipe_file(store.path("taken"), b"old")
    with pytest.raises(FileNotFoundError):
        fs.merge(store.path("all"), [store.path("a"), store.path("none")])
    with pytest.raises(ObjectExistsError):
        fs.merge(store.path("taken"), [store.path("a")], mode="create")
    with pytest.raises(ValueError, match="filelist is empty"):
        fs.merge(store.path("all"), [])
    with pytest.raises(TypeError, match="filelist must be a list"):
        fs.merge(store.path("all"), store.path("a"))
    assert fs.cat_file(store.path("taken")) == b"old"
    store.assert_nothing_left("all")


def test_merge_is_of_the_versions_that_it_looked_at() -> None:
    """Another writer replaces a source between the look and the copy."""
    fake = FakeS3("bucket")
    for key in ("a", "b"):
        fake.put("bucket", key, bytes(5 * MIB))
    looks = []

    def replace(request: Any, store: FakeS3) -> None:
        if request.method == "HEAD":
            looks.append(request)
        elif looks and request.method in ("GET", "PUT") and len(looks) == 2:
            looks.append(request)
            store.put("bucket", "b", b"new")

    fake.fault = replace
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with pytest.raises(ObjectChangedError):
            fs.merge("bucket/all", ["bucket/a", "bucket/b"])
    assert ("bucket", "all") not in fake.objects
