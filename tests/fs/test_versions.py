"""Versions: named by id, read and copied under it, deleted for good, and never written."""

import pickle
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fsspec
import pytest

from fsspec_guarded_s3 import (
    DirectoryNotEmptyError,
    GuardedS3Error,
    GuardedS3FileSystem,
    ObjectChangedError,
    ObjectNotFoundError,
    PreconditionUnsupportedError,
)
from fsspec_guarded_s3._s3 import xml_listings
from fsspec_guarded_s3.errors import ProtocolError
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer, Step, expects, respond
from tests.servers import MotoServer, RcloneServer
from tests.stores import Store, new_store


@pytest.fixture
def store(moto: MotoServer) -> Iterator[Store]:
    """A bucket with versioning, and a filesystem that knows of it."""
    made = new_store(moto)
    options = {**made.options, "version_aware": True}
    made.fs.make_bucket_versioned(made.bucket)
    yield Store(GuardedS3FileSystem(**options, skip_instance_cache=True), made.bucket, options)


def written(store: Store, key: str, *contents: bytes) -> list[str]:
    """Write one version after the other; returns their ids."""
    ids = []
    for content in contents:
        store.fs.pipe_file(store.path(key), content)
        ids.append(store.fs.info(store.path(key))["VersionId"])
    assert len(set(ids)) == len(contents)
    return ids


# --- reading ---------------------------------------------------------------------------------------


def test_a_version_is_read_by_keyword_and_by_path(store: Store, tmp_path: Path) -> None:
    """By every verb that reads, and nothing else than that version."""
    fs, path = store.fs, store.path("a b/k")
    first, second = written(store, "a b/k", b"one", b"second")
    old = f"{path}?versionId={first}"
    assert fs.cat_file(path, version_id=first) == fs.cat_file(old) == fs.cat(old) == b"one"
    assert fs.cat_file(old, 1, 2) == b"n"
    assert fs.cat_file(path) == b"second"
    assert fs.info(old)["name"] == old
    assert [fs.info(path, version_id=name)["size"] for name in (first, second)] == [3, 6]
    assert fs.isfile(old) and fs.exists(old) and not fs.isdir(old)
    with fs.open(old) as one, fs.open(path, version_id=first) as other:
        assert one.read() == other.read() == b"one"
        assert one.version_id == other.version_id == first
    fs.get(old, str(tmp_path / "file"))
    fs.get_file(path, str(tmp_path / "other"), version_id=first)
    assert [(tmp_path / name).read_bytes() for name in ("file", "other")] == [b"one"] * 2
    assert fs.find(old) == [old] == fs.ls(old, detail=False)
    fs.copy(old, store.path("copy"))
    assert fs.cat_file(store.path("copy")) == b"one"


def test_versions_go_through_the_verbs_for_many(store: Store, tmp_path: Path) -> None:
    """Lists of them, beside objects; nothing is taken for a pattern."""
    fs = store.fs
    first, second = written(store, "key", b"one", b"second")
    old, new = (f"{store.path('key')}?versionId={name}" for name in (first, second))
    written(store, "other", b"3")
    paths = [old, new, store.path("other")]
    assert fs.cat(paths) == dict(zip(paths, (b"one", b"second", b"3"), strict=True))
    assert fs.cat_ranges(paths, [0, 1, 0], [2, 3, 1]) == [b"on", b"ec", b"3"]
    local = [str(tmp_path / name) for name in "abc"]
    fs.get(paths, local)
    assert [Path(name).read_bytes() for name in local] == [b"one", b"second", b"3"]
    assert fs.expand_path(old) == [old]
    fs.rm([old, store.path("other")])
    assert [row["VersionId"] for row in fs.object_version_info(store.path("key"))] == [second]
    assert not fs.exists(store.path("other")) and not fs.exists(store.path("key"), version_id=first)


def test_a_writer_tells_the_version_that_it_published(store: Store) -> None:
    """By one request and in parts."""
    for size in (10, 6 * 2**20):
        with store.fs.open(store.path("key"), "wb") as file:
            file.write(bytes(size))
            assert file.version_id is None
        assert file.version_id == store.fs.info(store.path("key"))["VersionId"]


def test_a_url_that_names_a_version_opens_it(store: Store) -> None:
    """Without any option, as with s3fs."""
    options = {**store.options}
    del options["version_aware"]
    first, _ = written(store, "key", b"one", b"two")
    with fsspec.open(f"gs3://{store.bucket}/key?versionId={first}", **options) as file:
        assert file.read() == b"one"


def test_without_the_option_the_text_is_part_of_the_key(moto: MotoServer) -> None:
    store = new_store(moto)
    name = store.path("key?versionId=abc")
    store.fs.pipe_file(name, b"content")
    assert store.fs.find(store.bucket) == [name]
    assert store.fs.info(name)["name"] == name
    assert store.fs.cat_file(name) == b"content"


def test_two_names_for_the_version_must_agree(store: Store) -> None:
    first, second = written(store, "key", b"one", b"two")
    path = f"{store.path('key')}?versionId={first}"
    assert store.fs.info(path, version_id=first)["size"] == 3
    with pytest.raises(ValueError, match="two versions"):
        store.fs.info(path, version_id=second)
    with pytest.raises(ValueError, match="needs the path of an object"):
        store.fs.info(store.bucket, version_id=second)


def test_a_version_that_is_not_there_is_not_found(store: Store) -> None:
    written(store, "key", b"one")
    written(store, "key/below", b"one")  # which makes it a directory too
    for version in ("00000000-0000-0000-0000-000000000000", "null"):
        with pytest.raises(FileNotFoundError):
            store.fs.info(store.path("key"), version_id=version)
        with pytest.raises(FileNotFoundError):
            store.fs.open(store.path("key"), version_id=version)


def test_a_reader_is_pinned_to_its_version(store: Store) -> None:
    """It reads on after the object was replaced and after it was deleted, here and after pickling."""
    path = store.path("key")
    written(store, "key", b"old content")
    file = store.fs.open(path, block_size=4, cache_type="none")
    assert file.read(4) == b"old "
    written(store, "key", b"new content")
    assert file.read(4) == b"cont"
    store.fs.rm_file(path)
    again = pickle.loads(pickle.dumps(file))
    assert (file.read(), again.read()) == (b"ent", b"ent")


def test_without_the_option_a_reader_fails_once_the_object_is_replaced(store: Store) -> None:
    """Reading by version takes a permission of its own: it is not done unasked."""
    options = {**store.options, "version_aware": False}
    fs = GuardedS3FileSystem(**options, skip_instance_cache=True)
    written(store, "key", b"old content")
    file = fs.open(store.path("key"), block_size=4, cache_type="none")
    written(store, "key", b"new content")
    with pytest.raises(ObjectChangedError):
        file.read(4)


def test_a_store_without_versions_is_found_out(rclone: RcloneServer) -> None:
    """It answers with the current object whatever version is asked for, and would delete that."""
    store = new_store(rclone)
    path = store.path("key")
    store.fs.pipe_file(path, b"current")
    for call in (store.fs.info, store.fs.cat_file, store.fs.rm_file, store.fs.open):
        with pytest.raises(GuardedS3Error, match=r"does not know versions|NotImplemented"):
            call(path, version_id="old")  # type: ignore[operator]
    assert store.fs.cat_file(path) == b"current"


def test_a_range_of_another_version_is_refused() -> None:
    """A store that answers the ranges of a version with another one, though the ETag be the same."""
    first = {"x-amz-version-id": "one", "Content-Range": "bytes 0-1/4"}
    other = {"x-amz-version-id": "two", "Content-Range": "bytes 2-3/4"}
    steps = [
        Step(respond(206, b"ab", headers=first, etag="same"), expects("GET")),
        Step(respond(206, b"ab", headers=other, etag="same"), expects("GET", query={"versionId": "one"})),
    ]
    with ScriptedServer(steps) as server:
        fs = filesystem(server.url, version_aware=True, range_size=2)
        with pytest.raises(PreconditionUnsupportedError, match="answered for version two"):
            fs.cat_file("bucket/key", 0, 4)


def test_times_of_a_version_are_its_own_and_in_utc(store: Store) -> None:
    first, _ = written(store, "key", b"one", b"two")
    path = store.path("key")
    made = store.fs.modified(path, version_id=first)
    assert made == store.fs.created(f"{path}?versionId={first}") == store.fs.created(path, first)
    assert made.utcoffset() == timedelta()
    assert abs(datetime.now(timezone.utc) - made) < timedelta(minutes=5)
    ukeys = {store.fs.ukey(f"{path}?versionId={first}"), store.fs.ukey(path)}
    assert len(ukeys) == 2


# --- writing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["pipe_file", "open", "touch", "update", "put_file", "cp_file", "mv"])
def test_a_version_is_never_written(store: Store, tmp_path: Path, verb: str) -> None:
    (first,) = written(store, "key", b"one")
    old = f"{store.path('key')}?versionId={first}"
    local = tmp_path / "file"
    local.write_bytes(b"new")
    calls: dict[str, Any] = {
        "pipe_file": lambda: store.fs.pipe_file(old, b"new"),
        "open": lambda: store.fs.open(store.path("key"), "wb", version_id=first),
        "touch": lambda: store.fs.touch(old),
        "update": lambda: store.fs.update(old, lambda content: b"new"),
        "put_file": lambda: store.fs.put_file(str(local), old),
        "cp_file": lambda: store.fs.cp_file(store.path("key"), old),
        "mv": lambda: store.fs.mv(old, store.path("other")),
    }
    with pytest.raises(ValueError, match="version"):
        calls[verb]()
    assert store.fs.find(store.bucket) == [store.path("key")]
    assert len(store.fs.object_version_info(store.path("key"))) == 1


def test_restore_makes_an_old_version_the_current_one(store: Store) -> None:
    """By a new version that has its content and its metadata; the others stay."""
    path = store.path("key")
    first, second = written(store, "key", b"one", b"two")
    third = store.fs.restore_version(path, first)
    assert store.fs.cat_file(path) == b"one"
    versions = [row["VersionId"] for row in store.fs.object_version_info(path)]
    assert versions == [third, second, first]


def test_restore_brings_back_what_was_deleted(store: Store) -> None:
    path = store.path("key")
    (first,) = written(store, "key", b"one")
    store.fs.rm_file(path)
    store.fs.restore_version(f"{path}?versionId={first}")
    assert store.fs.cat_file(path) == b"one"


def test_restore_of_the_current_version_changes_nothing(store: Store) -> None:
    (first,) = written(store, "key", b"one")
    assert store.fs.restore_version(store.path("key"), first) == first
    assert len(store.fs.object_version_info(store.path("key"))) == 1


def test_restore_may_be_conditional(store: Store) -> None:
    """Another current version than the one that was seen is not replaced."""
    first, second = written(store, "key", b"one", b"two")
    with pytest.raises(ObjectChangedError):
        store.fs.restore_version(store.path("key"), first, if_match='"another"')
    assert store.fs.info(store.path("key"))["VersionId"] == second


def test_restore_needs_a_version(store: Store) -> None:
    with pytest.raises(ValueError, match="needs version_id"):
        store.fs.restore_version(store.path("key"))
    with pytest.raises(FileNotFoundError):
        store.fs.restore_version(store.path("key"), "00000000-0000-0000-0000-000000000000")


# --- deleting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["rm_file", "rm"])
def test_a_version_is_deleted_for_good(store: Store, verb: str) -> None:
    """The others stay, the current one too."""
    path = store.path("key")
    first, second = written(store, "key", b"one", b"two")
    getattr(store.fs, verb)(f"{path}?versionId={first}")
    assert [row["VersionId"] for row in store.fs.object_version_info(path)] == [second]
    assert store.fs.cat_file(path) == b"two"
    with pytest.raises(FileNotFoundError):
        store.fs.rm_file(path, version_id=first)
    with pytest.raises(ValueError, match="named by its id alone"):
        store.fs.rm_file(path, version_id=second, if_match='"x"')


def test_a_delete_marker_hides_the_object_until_it_is_deleted(store: Store) -> None:
    path = store.path("key")
    (first,) = written(store, "key", b"one")
    store.fs.rm_file(path)
    with pytest.raises(ObjectNotFoundError, match="delete marker"):
        store.fs.info(path)
    assert not store.fs.exists(path)
    marker, version = store.fs.object_version_info(path)
    assert (marker["DeleteMarker"], version["DeleteMarker"]) == (True, False)
    assert (marker["IsLatest"], version["VersionId"]) == (True, first)
    with pytest.raises(FileNotFoundError, match="delete marker"):
        store.fs.info(path, version_id=marker["VersionId"])
    store.fs.rm_file(path, version_id=marker["VersionId"])
    assert store.fs.cat_file(path) == b"one"


def test_rm_with_versions_leaves_none(store: Store) -> None:
    """Of the object that was named, or of the tree; what has a like name stays."""
    for key in ("tree/a", "tree/b/c", "tree2", "key", "key2"):
        written(store, key, b"one", b"two")
    for key in ("tree/a", "key", "key2"):
        store.fs.rm_file(store.path(key))
    store.fs.rm(store.path("tree"), recursive=True, versions=True)
    store.fs.rm(store.path("key"), versions=True)
    for key in ("tree/a", "tree/b/c", "key"):
        with pytest.raises(FileNotFoundError):
            store.fs.object_version_info(store.path(key))
    assert len(store.fs.object_version_info(store.path("tree2"))) == 2
    assert len(store.fs.object_version_info(store.path("key2"))) == 3
    with pytest.raises(FileNotFoundError):
        store.fs.rm(store.path("key"), versions=True)
    with pytest.raises(ValueError, match="exclude"):
        store.fs.rm(store.path("key2"), versions=True, maxdepth=1)


@pytest.mark.parametrize("is_hidden", [False, True])
def test_rm_with_versions_makes_no_old_version_the_current_one(store: Store, is_hidden: bool) -> None:
    """Whoever looks after one of its requests, or after the process was killed there."""
    keys = [f"tree/{number}" for number in range(40)]
    contents = {store.path(key): b"old" for key in keys}
    store.fs.pipe(contents)
    store.fs.pipe(dict.fromkeys(contents, b"new"))
    if is_hidden:
        store.fs.rm(store.path("tree"), recursive=True)
    watcher = GuardedS3FileSystem(**store.options, skip_instance_cache=True)
    seen: list[set[bytes]] = []

    def look(event: Any) -> None:
        if event.operation == "DeleteObjects" and event.is_operation:
            names = watcher.find(store.path("tree"))
            seen.append({watcher.cat_file(name) for name in names})

    with store.fs.events(look):
        store.fs.rm(store.path("tree"), recursive=True, versions=True)
    assert len(seen) > 1
    assert b"old" not in set().union(*seen)
    assert not (is_hidden and any(seen))
    assert not seen[-1]


def test_rm_with_versions_leaves_an_object_hidden_that_it_cannot_delete(moto: MotoServer) -> None:
    """A locked version stays, and with it the delete marker; the versions without a lock go."""
    made = new_store(moto)
    bucket = f"{made.bucket[:50]}-locks"
    locking = {"x-amz-bucket-object-lock-enabled": "true"}
    urllib.request.urlopen(urllib.request.Request(f"{moto.url}/{bucket}", None, locking, method="PUT"))
    path, until = f"{bucket}/key", datetime.now(timezone.utc) + timedelta(hours=1)
    made.fs.pipe_file(path, b"locked", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
    made.fs.pipe_file(path, b"new")
    made.fs.rm_file(path)
    made.fs.pipe_file(f"{bucket}/other", b"1")
    with pytest.raises(GuardedS3Error) as raised:
        made.fs.rm([path, f"{bucket}/other"], versions=True)
    assert not made.fs.exists(path)
    assert made.fs.find(bucket) == []
    marker, locked = made.fs.object_version_info(path)
    assert (marker["DeleteMarker"], locked["Size"]) == (True, 6)
    assert isinstance(raised.value, PermissionError)


def test_a_bucket_with_versions_is_removed_with_them_only(store: Store) -> None:
    """rm of a bucket deletes no history unasked, and says what is left and how to delete it."""
    written(store, "key", b"one", b"two")
    with pytest.raises(DirectoryNotEmptyError, match="versions=True"):
        store.fs.rm(store.bucket, recursive=True)
    assert store.fs.find(store.bucket) == []
    assert len(store.fs.object_version_info(store.path("key"))) == 3
    store.fs.rm(f"{store.bucket}/**", recursive=True, versions=True)  # which does not name the bucket
    assert store.fs.isdir(store.bucket)
    with pytest.raises(FileNotFoundError):
        store.fs.object_version_info(store.path("key"))
    store.fs.rm(store.bucket, recursive=True, versions=True)
    assert not store.fs.exists(store.bucket)


# --- listing ---------------------------------------------------------------------------------------


def test_ls_shows_versions_with_names_that_can_be_used(store: Store) -> None:
    for content in (b"1", b"22"):
        written(store, "d/a", content)
    written(store, "d/sub/c", b"1")
    store.fs.rm_file(store.path("d/a"))
    rows = store.fs.ls(store.path("d"), detail=True, versions=True)
    assert [(row["type"], row["size"], row.get("IsLatest")) for row in rows] == [
        ("other", 0, True),
        ("file", 2, False),
        ("file", 1, False),
        ("directory", 0, None),
    ]
    assert [store.fs.cat_file(row["name"]) for row in rows[1:3]] == [b"22", b"1"]
    assert store.fs.ls(store.path("d/a"), versions=True, detail=False) == [row["name"] for row in rows[:3]]
    assert store.fs.ls(store.path("d"), detail=False) == [store.path("d/sub")]
    with pytest.raises(FileNotFoundError):
        store.fs.ls(store.path("nothing"), versions=True)


def test_ls_of_versions_needs_the_option(moto: MotoServer) -> None:
    store = new_store(moto)
    with pytest.raises(ValueError, match="version_aware=True"):
        store.fs.ls(store.bucket, versions=True)


def test_version_info_is_of_the_object_alone(store: Store) -> None:
    """Not of those whose names begin alike; odd names too."""
    keys = ["a", "a b", "a+b", "a%20b", "a/b", "aa", "a?x", "grün&<>"]
    for key in keys:
        written(store, key, b"content")
    for key in keys:
        (row,) = store.fs.object_version_info(store.path(key))
        assert (row["Key"], row["Size"], row["IsLatest"]) == (key, 7, True)
        assert row["LastModified"].utcoffset() == timedelta()


def page(rows: str, more: str = "") -> bytes:
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    head = "<Name>bucket</Name><EncodingType>url</EncodingType>"
    return f'<ListVersionsResult xmlns="{space}">{head}{more}{rows}</ListVersionsResult>'.encode()


def version(key: str, name: str, tag: str = "Version") -> str:
    content = "<Size>3</Size><ETag>&quot;e&quot;</ETag>" if tag == "Version" else ""
    return (
        f"<{tag}><Key>{key}</Key><VersionId>{name}</VersionId><IsLatest>false</IsLatest>{content}"
        f"<LastModified>2026-01-02T03:04:05.000Z</LastModified></{tag}>"
    )


TRUNCATED = (
    "<IsTruncated>true</IsTruncated><NextKeyMarker>a%2Bb</NextKeyMarker>"
    "<NextVersionIdMarker>v1</NextVersionIdMarker>"
)


def test_versions_come_page_by_page() -> None:
    """The markers go back as they were meant, not as they were encoded."""
    steps = [
        Step(
            respond(200, page(version("a%2Bb", "v1"), TRUNCATED)),
            expects("GET", "/bucket", query={"versions": "", "encoding-type": "url"}),
        ),
        Step(
            respond(200, page(version("a%2Bb", "v0", "DeleteMarker") + version("a%2Bbc", "v9"))),
            expects(query={"key-marker": "a+b", "version-id-marker": "v1"}),
        ),
    ]
    with ScriptedServer(steps) as server:
        rows = filesystem(server.url).object_version_info("bucket/a+b")
    assert [(row["VersionId"], row["DeleteMarker"]) for row in rows] == [("v1", False), ("v0", True)]


@pytest.mark.parametrize(
    ("kind", "listed", "is_deleted"),
    [("DeleteMarker", "v0", True), ("Version", "v0", False), ("DeleteMarker", "v1", False)],
)
def test_a_delete_marker_that_head_does_not_find_is_found_by_a_listing(
    kind: str, listed: str, is_deleted: bool
) -> None:
    """S3 answers 405 to HEAD for one. Ceph RGW answers 404, as for a version that is not there."""
    steps = [
        Step(respond(404), expects("HEAD", "/bucket/k", query={"versionId": "v0"})),
        Step(respond(200, b"<ListBucketResult/>"), expects(query={"list-type": "2"})),  # it is a store
        Step(respond(200, page(version("k", listed, kind) + version("k2", "v0", "DeleteMarker")))),
        Step(respond(204), expects("DELETE", "/bucket/k", query={"versionId": "v0"})),
    ]
    with ScriptedServer(steps[: 4 if is_deleted else 3]) as server:
        fs = filesystem(server.url)
        if is_deleted:
            fs.rm_file("bucket/k", version_id="v0")
        else:
            with pytest.raises(FileNotFoundError):
                fs.rm_file("bucket/k", version_id="v0")


def test_a_delete_marker_is_known_by_the_status_of_head_alone() -> None:
    """LocalStack answers 405, without S3's x-amz-delete-marker."""
    steps = [
        Step(respond(405), expects("HEAD", "/bucket/k", query={"versionId": "v0"})),
        Step(respond(200, b"<ListBucketResult/>"), expects(query={"list-type": "2"})),  # it is a store
        Step(respond(204), expects("DELETE", "/bucket/k", query={"versionId": "v0"})),
    ]
    with ScriptedServer(steps) as server:
        filesystem(server.url).rm_file("bucket/k", version_id="v0")


def test_a_truncated_page_without_marker_is_an_error() -> None:
    """Stopping there would lose versions silently."""
    with pytest.raises(ProtocolError, match="truncated"):
        xml_listings.parse_versions(page(version("a", "v1"), "<IsTruncated>true</IsTruncated>"))


def test_a_listing_that_goes_round_in_circles_is_an_error() -> None:
    step = Step(respond(200, page(version("a%2Bb", "v1"), TRUNCATED)))
    with ScriptedServer([step, step]) as server, pytest.raises(ProtocolError, match="circles"):
        filesystem(server.url).object_version_info("bucket/a+b")


# --- versioning of buckets -------------------------------------------------------------------------


def test_versioning_is_switched_on_and_suspended(moto: MotoServer) -> None:
    """Versions that are there stay; what is written while it is suspended is the version "null"."""
    store = new_store(moto)
    assert not store.fs.is_bucket_versioned(store.bucket)
    store.fs.make_bucket_versioned(store.bucket)
    assert store.fs.is_bucket_versioned(f"gs3://{store.bucket}/")
    (first,) = written(store, "key", b"one")
    store.fs.make_bucket_versioned(store.bucket, versioned=False)
    assert not store.fs.is_bucket_versioned(store.bucket)
    assert store.fs.cat_file(store.path("key"), version_id=first) == b"one"
    with pytest.raises(ValueError, match="name of a bucket"):
        store.fs.is_bucket_versioned(store.path("key"))


def test_an_object_of_a_bucket_without_versioning_has_one_version(moto: MotoServer) -> None:
    """Its id is "null"; a filesystem that is version_aware reads it like any other."""
    made = new_store(moto)
    fs = GuardedS3FileSystem(**made.options, version_aware=True, skip_instance_cache=True)
    fs.pipe_file(made.path("key"), b"content")
    (row,) = fs.object_version_info(made.path("key"))
    assert row["VersionId"] == "null"
    assert fs.cat_file(made.path("key"), version_id="null") == fs.cat_file(made.path("key"), 0) == b"content"
    with fs.open(made.path("key")) as file:
        assert file.read() == b"content"
