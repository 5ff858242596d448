"""The coroutine of a verb does what the verb does: the same result, the same writes, the same store."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._auth.signer import Signer
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer

Call = tuple[str, list[Any], dict[str, Any]]


def _others(data: bytes) -> bytes:
    return data + b"!"


# A verb, its arguments by position, and by name. `{tmp}` is a folder of the test.
CALLS: list[Call] = [
    ("cat_file", ["bucket/a"], {}),
    ("cat_file", ["bucket/a", 1, -1], {}),
    ("cat_file", ["bucket/none"], {}),
    ("cat_file", ["bucket/a"], {"wrong": 1}),
    ("cat", [["bucket/a", "bucket/d/b"]], {}),
    ("cat", ["bucket/d/*"], {}),
    ("cat", [["bucket/a", "bucket/none"]], {"on_error": "return"}),
    ("cat_ranges", [["bucket/a", "bucket/d/b", "bucket/none"], [0, 1, 0], [2, 3, 1]], {}),
    ("cat_ranges", [["bucket/none"], 0, 1], {"on_error": "raise"}),
    ("cat_ranges_into", [["bucket/a", "bucket/d/b"], [0, 1], [2, 3], bytearray(4)], {}),
    ("cat_ranges_into", [["bucket/none"], 0, 1, [bytearray(1)]], {"on_error": "return"}),
    ("cat_ranges_into", [["bucket/a"], 0, 1, [b"1"]], {}),
    ("head", ["bucket/a", 2], {}),
    ("tail", ["bucket/a", 2], {}),
    ("info", ["bucket/a"], {}),
    ("info", ["bucket/d"], {}),
    ("info", ["bucket/none"], {}),
    ("exists", ["bucket/a"], {}),
    ("exists", ["bucket/none"], {}),
    ("isfile", ["bucket/a"], {}),
    ("isdir", ["bucket/d"], {}),
    ("ls", ["bucket"], {}),
    ("ls", ["bucket/d"], {"detail": True}),
    ("ls", [""], {}),
    ("sizes", [["bucket/a", "bucket/d"]], {"batch_size": 1}),
    ("get_delegated_s3pars", [], {"exp": 1}),
    ("find", ["bucket"], {"withdirs": True}),
    ("find", ["bucket"], {"detail": True}),
    ("du", ["bucket"], {}),
    ("du", ["bucket"], {"total": False}),
    ("glob", ["bucket/**/b"], {}),
    ("expand_path", ["bucket/d"], {"recursive": True}),
    ("modified", ["bucket/a"], {}),
    ("created", ["bucket/a"], {}),
    ("checksum", ["bucket/a"], {}),
    ("ukey", ["bucket/a"], {}),
    ("size", ["bucket/a"], {}),
    ("sizes", [["bucket/a"]], {}),
    ("metadata", ["bucket/a"], {}),
    ("getxattr", ["bucket/a", "made-by"], {}),
    ("setxattr", ["bucket/a"], {"note": "x"}),
    ("object_attributes", ["bucket/a"], {}),
    ("put_annotation", ["bucket/a", "note", "text"], {}),
    ("get_annotation", ["bucket/a", "none"], {}),
    ("list_annotations", ["bucket/a"], {}),
    ("delete_annotation", ["bucket/a", "note"], {}),
    ("get_tags", ["bucket/a"], {}),
    ("put_tags", ["bucket/a", {"k": "v"}], {}),
    ("chmod", ["bucket/a", "public-read"], {}),
    ("object_version_info", ["bucket/a"], {}),
    ("restore_version", ["bucket/a", "null"], {}),
    ("is_bucket_versioned", ["bucket"], {}),
    ("make_bucket_versioned", ["bucket"], {}),
    ("bucket_region", ["bucket"], {}),
    ("list_uploads", ["bucket"], {}),
    ("abort_uploads", ["bucket", 10], {}),
    ("abort_uploads", ["bucket", -1], {}),
    ("list_multipart_uploads", ["bucket"], {}),
    ("clear_multipart_uploads", ["bucket"], {}),
    ("abort_mpu", ["bucket", "a", "none"], {}),
    ("merge", ["bucket/new", ["bucket/a", "bucket/a"]], {}),
    ("invalidate_region_cache", [], {}),
    ("probe", ["bucket/a"], {}),
    ("get_delegated_s3pars", [], {}),
    ("sign", ["bucket/a"], {}),
    ("sign_post", ["bucket/a"], {"max_size": 10}),
    ("url", ["bucket/a"], {"client_method": "put_object"}),
    ("pipe_file", ["bucket/new", b"1"], {"ContentType": "text/csv"}),
    ("pipe_file", ["bucket/a", b"1"], {"mode": "create"}),
    ("pipe_file", ["bucket/a", b"1"], {"if_match": "other"}),
    ("pipe", [{"bucket/new": b"1"}], {}),
    ("put_if_absent", ["bucket/a", b"1"], {}),
    ("put_if_absent", ["bucket/new", b"1"], {}),
    ("update", ["bucket/a", _others], {}),
    ("touch", ["bucket/a"], {}),
    ("touch", ["bucket/a", False], {}),
    ("put_file", ["{tmp}/local", "bucket/new"], {}),
    ("put_file", ["{tmp}/none", "bucket/new"], {}),
    ("put", ["{tmp}", "bucket/new"], {"recursive": True}),
    ("get_file", ["bucket/a", "{tmp}/got"], {}),
    ("get_file", ["bucket/none", "{tmp}/got"], {}),
    ("get", ["bucket/d/", "{tmp}/"], {"recursive": True}),
    ("cp_file", ["bucket/a", "bucket/copy"], {}),
    ("copy", ["bucket/a", "bucket/copy"], {}),
    ("mv", ["bucket/a", "bucket/moved"], {}),
    ("rm_file", ["bucket/a"], {}),
    ("rm_file", ["bucket/none"], {}),
    ("rm", ["bucket/d"], {"recursive": True}),
    ("rm", ["bucket/none"], {}),
    ("rmdir", ["bucket"], {}),
    ("mkdir", ["other"], {}),
    ("mkdir", ["bucket"], {}),
    ("makedirs", ["bucket/x/y"], {"exist_ok": True}),
]


def coroutines() -> set[str]:
    """The verbs that have one."""
    found = inspect.getmembers(GuardedS3FileSystem, inspect.iscoroutinefunction)
    names = {name[1:] for name, _ in found if name.startswith("_") and not name.startswith("__")}
    return names - {"connect"}  # which is `set_session`, and of no verb


def test_each_coroutine_is_called_below() -> None:
    assert coroutines() == {verb for verb, _, _ in CALLS}


def test_each_verb_has_one() -> None:
    """But for what asks no store; and `open` has `open_async`, some an asynchronous generator."""
    own = {name for name, verb in vars(GuardedS3FileSystem).items() if callable(verb) and name[0] != "_"}
    local = {"close", "invalidate_cache", "split_path", "start_transaction", "end_transaction"}
    local |= {"to_dict", "to_json", "connect", "close_session", "events", "trace"}
    steps = {"walk", "iter_find", "iter_find_batches"}
    assert own - coroutines() == local | steps | {"open", "open_async", "set_session", "transaction_type"}


@pytest.mark.parametrize("verb, _, __", {call[0]: call for call in CALLS}.values())
def test_it_has_the_signature_and_the_docstring_of_its_verb(verb: str, _: Any, __: Any) -> None:
    if verb == "size":  # fsspec's own, which says little
        return
    sync, coroutine = getattr(GuardedS3FileSystem, verb), getattr(GuardedS3FileSystem, f"_{verb}")
    assert inspect.signature(sync) == inspect.signature(coroutine)
    assert inspect.getdoc(sync) == inspect.getdoc(coroutine)
    assert coroutine.__qualname__ == f"GuardedS3FileSystem._{verb}"


@pytest.mark.parametrize("call", CALLS, ids=lambda call: str(call[0]))
def test_a_coroutine_does_what_its_verb_does(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Signer, "_now", staticmethod(lambda: 1_800_000_000.0))  # a form has the time in it
    verb, args, kwargs = call
    with_verb, with_coroutine = World(tmp_path / "verb"), World(tmp_path / "coroutine")
    with with_verb.server, with_coroutine.server:

        def call_verb() -> Any:
            return getattr(with_verb.fs, verb)(*with_verb.here(args), **kwargs)

        def call_coroutine() -> Any:
            return asyncio.run(getattr(with_coroutine.fs, f"_{verb}")(*with_coroutine.here(args), **kwargs))

        assert with_verb.outcome(call_verb) == with_coroutine.outcome(call_coroutine)
        assert with_verb.writes() == with_coroutine.writes()
        assert with_verb.state() == with_coroutine.state()


class World:
    """A store, a filesystem on it, and a folder."""

    def __init__(self, folder: Path) -> None:
        self.fake = FakeS3("bucket")
        self.fake.put("bucket", "a", b"0123456789", **{"made-by": "me"})
        self.fake.put("bucket", "d/b", b"abc")
        self.server = ScriptedServer(handler=self.fake)
        self.folder = folder
        folder.mkdir()
        (folder / "local").write_bytes(b"local")

    @cached_property
    def fs(self) -> GuardedS3FileSystem:
        return filesystem(self.server.url)

    def here(self, args: list[Any]) -> list[Any]:
        return [item.format(tmp=self.folder) if isinstance(item, str) else item for item in args]

    def _neutral(self, value: Any) -> Any:
        """Without what differs from run to run: ports, folders, times, the write token, signatures."""
        if isinstance(value, dict):
            return {key: self._neutral(item) for key, item in value.items() if not isinstance(item, datetime)}
        if isinstance(value, (list, tuple)):
            return [self._neutral(item) for item in value]
        if isinstance(value, datetime):
            return "a time"
        if isinstance(value, Exception):
            return type(value), self._neutral(str(value))
        if isinstance(value, str):
            text = value.replace(self.server.url, "").replace(str(self.folder), "")
            text = re.sub(r"X-Amz-(Date|Signature|Credential)=[^&]*|127\.0\.0\.1:\d+", "", text)
            return re.sub(r"[0-9a-f]{16,}", "...", text)
        return value

    def outcome(self, call: Any) -> Any:
        try:
            return "returned", self._neutral(call())
        except Exception as error:
            return type(error), self._neutral(str(error)), getattr(error, "maybe_applied", None)

    def writes(self) -> list[tuple[str, str]]:
        """The requests that change something: of two looks at the same time one may be given up unsent."""
        writes = [item for item in self.server.requests if item.method not in ("GET", "HEAD")]
        return sorted((item.method, self._neutral(item.target)) for item in writes)

    def state(self) -> Any:
        objects = {key: (item.body, item.tags, item.acl) for key, item in self.fake.objects.items()}
        files = {str(path.relative_to(self.folder)): path.is_file() for path in self.folder.rglob("*")}
        return objects, set(self.fake.buckets), self.fake.versioning, files


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "world")
    with found.server:
        yield found


async def _all(steps: AsyncIterator[Any]) -> list[Any]:
    return [step async for step in steps]


def test_walk_is_an_asynchronous_generator(world: World) -> None:
    assert inspect.isasyncgenfunction(GuardedS3FileSystem._walk)
    found = asyncio.run(_all(world.fs._walk("bucket")))
    assert found == list(world.fs.walk("bucket"))
    assert asyncio.run(_all(world.fs._walk("bucket/none"))) == list(world.fs.walk("bucket/none"))
    with pytest.raises(ValueError, match="maxdepth"):
        asyncio.run(_all(world.fs._walk("bucket", maxdepth=0)))


@pytest.mark.parametrize("verb", ["iter_find", "iter_find_batches"])
def test_a_listing_that_comes_bit_by_bit_is_one_too(world: World, verb: str) -> None:
    if verb == "iter_find_batches":
        pytest.importorskip("pyarrow")
    assert inspect.isasyncgenfunction(getattr(GuardedS3FileSystem, f"_{verb}"))
    found = asyncio.run(_all(getattr(world.fs, f"_{verb}")("bucket")))
    assert found == list(getattr(world.fs, verb)("bucket"))
    with pytest.raises(ValueError, match="min_size"):
        asyncio.run(_all(getattr(world.fs, f"_{verb}")("bucket", min_size=-1)))


def test_directories_that_are_removed_from_a_step_of_walk_are_not_walked_into(world: World) -> None:
    async def main() -> list[str]:
        found = []
        async for name, directories, _ in world.fs._walk("bucket"):
            found.append(name)
            directories.clear()
        return found

    assert asyncio.run(main()) == ["bucket"]


def test_what_is_told_in_a_loop_is_complete(world: World) -> None:
    """Behind a listing `info` asks for the rest when it is looked at: that would stop the loop."""

    async def main() -> tuple[dict[str, Any], int]:
        await world.fs._ls("bucket")
        row = await world.fs._info("bucket/a")
        before = len(world.server.requests)
        assert row["ContentType"] and row == dict(row) and "metadata" in row
        return row, len(world.server.requests) - before

    row, looks = asyncio.run(main())
    assert type(row) is dict and looks == 0
    assert row == world.fs.info("bucket/a", refresh=True)


def test_a_subclass_is_honoured(world: World) -> None:
    class Shouting(GuardedS3FileSystem):
        def cat_file(self, path: Any, *args: Any, **kwargs: Any) -> bytes:
            return super().cat_file(path, *args, **kwargs).upper()

    fs = Shouting(endpoint_url=world.server.url, key="k", secret="s", skip_instance_cache=True)
    assert asyncio.run(fs._cat_file("bucket/d/b")) == b"ABC"
    assert asyncio.run(fs._cat(["bucket/d/b"])) == {"bucket/d/b": b"ABC"}


def test_the_one_that_replaces_a_verb_of_an_instance_is_honoured(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.fs, "info", lambda path: {"name": path})
    assert asyncio.run(world.fs._info("x")) == {"name": "x"}


def test_set_session_is_there_for_callers_of_s3fs(world: World) -> None:
    async def main() -> bytes:
        await world.fs.set_session(refresh=True)
        return await world.fs._cat_file("bucket/a")

    assert asyncio.run(main()) == b"0123456789"


def test_a_name_without_a_coroutine_is_told_how_to_be_awaited(world: World) -> None:
    with pytest.raises(AttributeError, match=r"asyncio\.to_thread\(fs\.read_text"):
        world.fs._read_text  # noqa: B018
