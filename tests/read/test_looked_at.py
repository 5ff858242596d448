"""What `info`, `exists` or `isfile` has just told of is opened without a request, as what was listed: once.

pyarrow asks `isfile` before it opens a file, whose footer it reads first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fsspec_guarded_s3 import ObjectChangedError, ObjectNotFoundError
from fsspec_guarded_s3._fs import recent_rows
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.read.test_put_off import NEW, OLD, PATH, READS, TOLD
from tests.scripted_server import ScriptedServer

LOOKS: dict[str, Callable[[Any], object]] = {
    "info": lambda fs: fs.info(PATH),
    "info, refreshed": lambda fs: fs.info(PATH, refresh=True),
    "exists": lambda fs: fs.exists(PATH),
    "isfile": lambda fs: fs.isfile(PATH),
    "size": lambda fs: fs.size(PATH),
    "ukey": lambda fs: fs.ukey(PATH),
    "info of an URL": lambda fs: fs.info(f"gs3://{PATH}"),
}


@dataclass
class Place:
    """A filesystem on a store in memory; `time` is what its clock shows."""

    fs: Any
    fake: FakeS3
    server: ScriptedServer
    time: float = 100.0
    seen: int = 0

    def asked(self) -> list[tuple[str, str, bool]]:
        """Method, range, and whether there is a pin, of each request since the last time."""
        requests = self.server.requests[self.seen :]
        self.seen += len(requests)
        return [
            (request.method, request.headers.get("range", ""), "if-match" in request.headers)
            for request in requests
        ]

    def replace(self, data: bytes = NEW) -> None:
        self.fake.put("bucket", "folder/key", data)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    fake = FakeS3("bucket")
    fake.put("bucket", "folder/key", OLD)
    with ScriptedServer(handler=fake) as server:
        here = Place(filesystem(server.url), fake, server)
        monkeypatch.setattr(recent_rows, "clock", lambda: here.time)
        yield here


def footer(file: Any) -> bytes:
    """The last bytes, as readers of Parquet get them."""
    file.seek(0, 2)
    file.seek(-8, 2)
    data: bytes = file.read()
    return data


@pytest.mark.parametrize("look", LOOKS)
def test_a_footer_behind_a_look_is_one_request(place: Place, look: str) -> None:
    LOOKS[look](place.fs)
    assert place.asked() == [("HEAD", "", False)]
    place.fs._client.store.transport.round_trip = 0.0
    with place.fs.open(PATH) as file:
        assert place.asked() == []
        assert footer(file) == OLD[-8:]
    assert place.asked() == [("GET", f"bytes={2 * MIB - 65536}-{2 * MIB - 1}", True)]


@pytest.mark.parametrize("look", ["info", "isfile"])
def test_a_small_file_of_a_distant_store_is_read_whole_at_once(place: Place, look: str) -> None:
    data = period_free(400_000, seed=3)
    place.replace(data)
    LOOKS[look](place.fs)
    place.fs._client.store.transport.round_trip = 0.05
    place.asked()
    with place.fs.open(PATH) as file:
        assert (footer(file), file.seek(0), file.read()) == (data[-8:], 0, data)
    assert len(place.asked()) == 1


@pytest.mark.parametrize("look", LOOKS)
def test_distant_ranges_behind_a_look_are_asked_for_at_once(place: Place, look: str) -> None:
    LOOKS[look](place.fs)
    place.asked()
    assert place.fs.cat_ranges([PATH] * 2, [0, MIB], [9, MIB + 9]) == [OLD[:9], OLD[MIB : MIB + 9]]
    asked = place.asked()
    assert sorted(asked) == [("GET", "bytes=0-8", True), ("GET", f"bytes={MIB}-{MIB + 8}", True)]


@pytest.mark.parametrize("ignores", [False, True])
@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("look", ["info", "exists", "isfile"])
def test_what_was_replaced_since_the_look_is_read_anew(
    place: Place, look: str, name: str, ignores: bool
) -> None:
    place.fake.ignore_conditions = ignores
    LOOKS[look](place.fs)
    place.replace()
    read, wanted = READS[name]
    with place.fs.open(PATH) as file:
        assert read(file) == wanted(NEW)
        file.seek(0)
        assert file.read() == NEW


@pytest.mark.parametrize("told", TOLD)
def test_no_file_mixes_two_versions(place: Place, told: str) -> None:
    place.fs.info(PATH)
    with place.fs.open(PATH) as file:
        TOLD[told](file)
        place.replace()
        with pytest.raises(ObjectChangedError):
            file.read()
    with place.fs.open(PATH) as file:
        assert file.read() == NEW


@pytest.mark.parametrize("look", LOOKS)
def test_who_opens_again_sees_what_changed(place: Place, look: str) -> None:
    """Also where the size is asked for first: a look pins one file, and not those of seconds."""
    LOOKS[look](place.fs)
    for data in (NEW, OLD):
        with place.fs.open(PATH) as file:
            assert footer(file)
        place.replace(data)
    with place.fs.open(PATH) as file:
        assert (file.size, file.read()) == (len(OLD), OLD)


@pytest.mark.parametrize("later", [1.0, 6.0])
def test_an_old_look_pins_nothing(place: Place, later: float) -> None:
    place.fs.info(PATH)
    place.time += later
    place.replace()
    with place.fs.open(PATH) as file:
        assert (file.size, file.read()) == (len(NEW), NEW)


@pytest.mark.parametrize("write", ["pipe_file", "rm", "elsewhere"])
def test_a_write_of_this_process_drops_it(place: Place, write: str) -> None:
    place.fs.isfile(PATH)
    if write == "rm":
        place.fs.rm(PATH)
        with pytest.raises(FileNotFoundError):
            place.fs.open(PATH)
        return
    other = filesystem(place.server.url) if write == "elsewhere" else place.fs
    other.pipe_file(PATH, NEW)
    with place.fs.open(PATH) as file:
        assert (file.size, file.read()) == (len(NEW), NEW)


def test_an_object_that_is_gone_since_the_look_is_not_found(place: Place) -> None:
    place.fs.exists(PATH)
    del place.fake.objects["bucket", "folder/key"]
    with place.fs.open(PATH) as file, pytest.raises(ObjectNotFoundError):
        file.read(1)
    with pytest.raises(FileNotFoundError):
        place.fs.open(PATH)


@pytest.mark.parametrize("look", ["info", "exists", "isfile", "ukey"])
def test_the_option_switches_it_off(place: Place, look: str) -> None:
    fs = filesystem(place.server.url, recent_listings=0)
    LOOKS[look](fs)
    place.asked()
    with fs.open(PATH):
        assert place.asked() == [("GET", "bytes=0-65535", False)]


def test_a_kept_listing_pins_nothing(place: Place) -> None:
    """What `exists` and `isfile` know from the listing cache may be old."""
    fs = filesystem(place.server.url, use_listings_cache=True, listings_expiry_time=600)
    fs.ls("bucket/folder")
    place.time += 60
    place.replace()
    place.asked()
    assert fs.exists(PATH) and fs.info(PATH)["size"] == len(OLD)
    assert place.asked() == []
    with fs.open(PATH) as file:
        assert (file.size, file.read()) == (len(NEW), NEW)


def test_a_look_at_a_directory_opens_nothing(place: Place) -> None:
    assert place.fs.exists("bucket/folder") and place.fs.isdir("bucket/folder")
    with pytest.raises(IsADirectoryError):
        place.fs.open("bucket/folder")


def test_exists_answers_isfile_and_nothing_else(place: Place) -> None:
    assert place.fs.exists(PATH) and place.fs.exists("bucket/folder")
    place.asked()
    assert place.fs.isfile(PATH) and place.fs.isdir("bucket/folder")
    assert place.asked() == []
    del place.fake.objects["bucket", "folder/key"]
    assert not place.fs.exists(PATH)
    assert not place.fs.isfile(PATH)


def test_isfile_answers_no_other_isfile(place: Place) -> None:
    """Whoever waits for a file to go sees it go."""
    assert place.fs.isfile(PATH)
    del place.fake.objects["bucket", "folder/key"]
    assert not place.fs.isfile(PATH)
    place.replace()
    assert place.fs.isfile(PATH)
    place.fake.objects.clear()
    assert not place.fs.isfile(PATH) and not place.fs.isdir("bucket/folder")


def test_isfile_leaves_what_info_told(place: Place) -> None:
    place.fs.info(PATH)
    place.asked()
    assert place.fs.isfile(PATH) and place.fs.isfile(PATH)
    assert place.asked() == []
