"""A verb for trees finds the object and the directory of a name by one listing, where that can be."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.requests_table import kind_of
from tests.scripted_server import Answer, Request, ScriptedServer, s3_error


def names(fs: GuardedS3FileSystem, path: str = "bucket/a") -> list[str]:
    return fs.expand_path(path, recursive=True)


def filled(*keys: str) -> FakeS3:
    fake = FakeS3("bucket", "other")
    for key in keys:
        fake.put("bucket", key, key.encode())
    return fake


def asked(server: ScriptedServer) -> list[str]:
    return [f"{kind_of(request)} {request.query.get('prefix', request.path)}" for request in server.requests]


BESIDE = [f"a!{number:04}" for number in range(600)]
BEHIND = [f"a~{number:04}" for number in range(600)]
BELOW = [f"a/{number:04}" for number in range(600)]
PLACES: dict[str, tuple[list[str], int]] = {
    "a tree": (["a/1", "a/2", "b"], 1),
    "an object": (["a", "b"], 1),
    "both": (["a", "a/1", "a-", "a0"], 1),
    "a marker": (["a/", "a0"], 1),
    "many beside it": ([*BESIDE, *BELOW], 2),
    "many behind it": ([*BELOW, *BEHIND], 2),
    "an object, and many beside it": (["a", *BESIDE, *BELOW], 2),
    "a large tree": ([*BELOW, *(f"a/1/{number}" for number in range(600))], 3),
}


@pytest.mark.parametrize(("keys", "listings"), PLACES.values(), ids=PLACES)
def test_one_listing_tells_of_the_object_and_of_the_tree(keys: list[str], listings: int) -> None:
    wanted = {f"bucket/{key}" for key in keys if key == "a" or key.startswith("a/")} - {"bucket/a/"}
    if any(key.startswith("a/") for key in keys):
        wanted |= {"bucket/a"}
    if any(key.startswith("a/1/") for key in keys):
        wanted |= {"bucket/a/1"}
    with ScriptedServer(handler=filled(*keys)) as server:
        assert set(names(filesystem(server.url))) == wanted
        assert [kind_of(request) for request in server.requests] == ["LIST"] * listings


@pytest.mark.parametrize(("keys", "listings"), PLACES.values(), ids=PLACES)
def test_rm_deletes_the_object_and_the_tree_and_nothing_beside(keys: list[str], listings: int) -> None:
    with ScriptedServer(handler=(fake := filled(*keys))) as server:
        filesystem(server.url).rm("bucket/a", recursive=True)
    left = {key for _, key in fake.objects}
    assert left == {key for key in keys if key != "a" and not key.startswith("a/")}


VERBS: dict[str, Callable[[GuardedS3FileSystem, Path], object]] = {
    "get": lambda fs, folder: fs.get("bucket/a", str(folder / "new"), recursive=True),
    "cat": lambda fs, folder: fs.cat("bucket/a", recursive=True),
    "copy": lambda fs, folder: fs.copy("bucket/a", "other/new", recursive=True),
    "mv": lambda fs, folder: fs.mv("bucket/a", "other/new", recursive=True),
    "rm": lambda fs, folder: fs.rm("bucket/a", recursive=True),
}
verbs = pytest.mark.parametrize("call", VERBS.values(), ids=VERBS)


@verbs
def test_what_is_not_there_is_not_found(
    call: Callable[[GuardedS3FileSystem, Path], object], tmp_path: Path
) -> None:
    with ScriptedServer(handler=filled("ab", "a-/1")) as server, pytest.raises(FileNotFoundError):
        call(filesystem(server.url), tmp_path)


def test_get_of_a_name_that_is_an_object_and_a_directory_gets_the_directory_and_warns(tmp_path: Path) -> None:
    """No folder can be a file too; nothing may be left out in silence."""
    with ScriptedServer(handler=filled("a", "a/1")) as server:
        fs = filesystem(server.url)
        with pytest.warns(UserWarning, match="bucket/a: not downloaded"):
            fs.get("bucket/a", str(tmp_path / "new"), recursive=True)
    assert [path.name for path in (tmp_path / "new").rglob("*") if path.is_file()] == ["1"]


def denied_above(request: Request, _: object) -> Answer | None:
    """A policy with the condition s3:prefix = "a/*"."""
    is_above = kind_of(request) == "LIST" and not request.query.get("prefix", "").startswith("a/")
    return s3_error(403, "AccessDenied") if is_above else None


def test_who_may_list_below_the_name_alone_is_answered_and_refused_once() -> None:
    fake = filled("a/1", "a/2")
    fake.fault = denied_above
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        for _ in range(2):
            assert names(fs) == ["bucket/a", "bucket/a/1", "bucket/a/2"]
    assert asked(server).count("LIST a") == 1
    assert asked(server).count("LIST a/") == 2


def test_keys_in_another_order_are_asked_for_apart() -> None:
    fake = filled("a", *BESIDE, *BELOW)
    fake.order = lambda key: (key == "a", key)  # the object comes last
    with ScriptedServer(handler=fake) as server:
        assert "HEAD /bucket/a" not in asked(server)
        assert set(names(filesystem(server.url))) == {"bucket/a", *(f"bucket/{key}" for key in BELOW)}


def test_a_listing_of_a_name_answers_what_is_asked_behind_it(tmp_path: Path) -> None:
    with ScriptedServer(handler=filled("a/1", "a/2")) as server:
        fs = filesystem(server.url)
        fs.get("bucket/a", str(tmp_path / "new"), recursive=True)
        seen = len(server.requests)
        assert fs.isfile("bucket/a/1") and fs.isdir("bucket/a")
        assert len(server.requests) == seen
