"""`rm` of a list of names looks for them by one listing where it tells of many, else by HeadObject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.requests_table import kind_of
from tests.scripted_server import Answer, Request, ScriptedServer, s3_error

NAMES = [f"bucket/d/{number % 3}/f-{number:03}" for number in range(40)]


class Place:
    """A filesystem on a store in memory, which has NAMES and two others."""

    def __init__(self, server: ScriptedServer, fake: FakeS3) -> None:
        self.server, self.fake = server, fake
        self.fs: GuardedS3FileSystem = filesystem(server.url)
        for name in [*NAMES, "bucket/d/other", "bucket/e"]:
            fake.put("bucket", name.removeprefix("bucket/"), name.encode(), owner="me")

    def asked(self) -> Counter[str]:
        return Counter(kind_of(request) for request in self.server.requests)

    def left(self, bucket: str = "bucket") -> set[str]:
        return {f"{there}/{key}" for there, key in self.fake.objects if there == bucket}


@pytest.fixture
def place() -> Iterator[Place]:
    fake = FakeS3("bucket", "other", "name--use1-az4--x-s3")
    with ScriptedServer(handler=fake) as server:
        yield Place(server, fake)


def test_rm_of_a_list_is_a_listing_and_one_request(place: Place) -> None:
    place.fs.rm([*NAMES, NAMES[0], f"gs3://{NAMES[1]}"])
    assert place.left() == {"bucket/d/other", "bucket/e"}
    assert place.asked() == {"LIST": 1, "POST": 1}


def test_a_few_names_are_looked_at_one_by_one(place: Place) -> None:
    place.fs.rm(NAMES[:12])
    assert place.asked() == {"HEAD": 12, "POST": 1}


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("bucket/d/none", FileNotFoundError),
        ("bucket/d", IsADirectoryError),
        ("other/none", FileNotFoundError),
        ("none/a", FileNotFoundError),
    ],
)
def test_rm_looks_for_all_before_it_deletes_the_first(place: Place, wrong: str, error: Any) -> None:
    before = place.left()
    with pytest.raises(error):
        place.fs.rm([*NAMES, wrong])
    assert place.left() == before
    assert not place.asked()["POST"]


def test_names_among_many_others_are_looked_at_one_by_one(place: Place) -> None:
    """One page of a thousand has none of them: no more pages."""
    for number in range(3000):
        place.fake.put("bucket", f"d/0/a{number}", b"1")
    place.fs.rm(NAMES)
    assert not place.left() & set(NAMES)
    assert place.asked() == {"LIST": 1, "HEAD": 40, "POST": 1}


def test_thousands_of_names_take_a_page_for_each_thousand(place: Place) -> None:
    names = [f"bucket/many/{number:04}" for number in range(2500)]
    for name in names:
        place.fake.put("bucket", name.removeprefix("bucket/"), b"1")
    place.fs.rm(names)
    assert not place.left() & set(names)
    assert place.asked() == {"LIST": 3, "POST": 3}


def test_a_bucket_that_may_not_be_listed_is_asked_once(place: Place) -> None:
    def denied(request: Request, fake: FakeS3) -> Answer | None:
        return s3_error(403, "AccessDenied") if kind_of(request) == "LIST" else None

    place.fake.fault = denied
    place.fs.rm(NAMES[:20])
    place.fs.rm(NAMES[20:])
    assert not place.left() & set(NAMES)
    assert place.asked() == {"LIST": 1, "HEAD": 40, "POST": 2}


def test_two_buckets(place: Place) -> None:
    others = [f"other/x{number}" for number in range(15)]
    for name in others:
        place.fake.put("other", name.removeprefix("other/"), b"1")
    place.fs.rm([*NAMES, *others])
    assert not place.left() & set(NAMES) and not place.left("other")
    assert place.asked() == {"LIST": 2, "POST": 2}


def test_a_name_whose_beginning_is_that_of_all_is_found(place: Place) -> None:
    names = ["bucket/d/", *(f"bucket/d/{letter}" for letter in "abcdefghijklmn")]
    for name in names:
        place.fake.put("bucket", name.removeprefix("bucket/"), b"1")
    place.fs.rm(names[1:])
    assert not place.left() & set(names[1:])
    assert "bucket/d/" in place.left()


def test_a_directory_bucket_is_not_listed(place: Place) -> None:
    names = [f"name--use1-az4--x-s3/f{number}" for number in range(15)]
    for name in names:
        place.fake.put(*name.split("/", 1), b"1")
    place.fs.rm(names)
    assert place.asked()["HEAD"] == 15
    assert not any("list-type" in request.query for request in place.server.requests)
