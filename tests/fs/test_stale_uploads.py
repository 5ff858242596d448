"""Stale uploads are found whatever their keys hold, and are as old as the store says."""

from datetime import datetime, timedelta, timezone

import pytest

from fsspec_guarded_s3 import ProtocolError
from fsspec_guarded_s3._values.paths import S3Path
from tests.fake_s3 import FakeS3, Upload
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer

KEYS = ["a=b/part=1", "a b", "a+b", "a%20b", "a%3Db", "plain", "ä/ö", "a&b", "100%"]


def stale(fake: FakeS3, *keys: str, age: timedelta = timedelta(days=3)) -> None:
    for number, key in enumerate(keys):
        began = datetime.now(timezone.utc) + fake.clock - age
        fake.uploads[f"stale-{number}"] = Upload("bucket", key, {}, False, initiated=began)


@pytest.mark.parametrize("hides_encoding", [False, True])
@pytest.mark.parametrize("page", [1, 2, 1000])
def test_stale_uploads_of_any_key_are_listed_and_aborted(page: int, hides_encoding: bool) -> None:
    """Ceph RGW encodes keys and markers when it is asked to, and does not say that it did."""
    fake = FakeS3("bucket")
    fake.hides_encoding, fake.most_uploads = hides_encoding, page
    stale(fake, *KEYS)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert sorted(row["name"] for row in fs.list_uploads("bucket")) == sorted(f"bucket/{k}" for k in KEYS)
        removed = fs.abort_uploads("bucket", older_than=86_400)
        assert sorted(row["name"] for row in removed) == sorted(f"bucket/{key}" for key in KEYS)
    assert not fake.uploads


@pytest.mark.parametrize("key", KEYS)
def test_stale_uploads_of_one_key_are_found_by_it_on_a_store_that_hides_how_it_encodes(key: str) -> None:
    fake = FakeS3("bucket")
    fake.hides_encoding = True
    stale(fake, key)
    with ScriptedServer(handler=fake) as server:
        assert [row["name"] for row in filesystem(server.url).list_uploads(f"bucket/{key}")] == [
            f"bucket/{key}"
        ]


def test_keys_that_only_look_encoded_stay_as_they_are_on_a_store_that_encodes_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.fake_s3.quote_keys", str)
    fake = FakeS3("bucket")
    fake.hides_encoding = True
    stale(fake, "a%20b", "a%3Db")
    with ScriptedServer(handler=fake) as server:
        rows = filesystem(server.url).list_uploads("bucket")
    assert sorted(row["name"] for row in rows) == ["bucket/a%20b", "bucket/a%3Db"]


@pytest.mark.parametrize("page", [1, 1000])
@pytest.mark.parametrize("keys", [KEYS, ["a+b"], ["a%20b", "a b"]])
def test_keys_are_as_they_stand_on_a_store_that_says_it_encodes_and_does_not(
    keys: list[str], page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LocalStack 4.14: an upload to `a+b` was looked for at `a b`, and neither listed nor aborted."""
    monkeypatch.setattr("tests.fake_s3.quote_keys", str)
    fake = FakeS3("bucket")
    fake.most_uploads = page
    stale(fake, *keys)
    with ScriptedServer(handler=fake) as server:
        removed = filesystem(server.url).abort_uploads("bucket", older_than=86_400)
    assert sorted(row["name"] for row in removed) == sorted(f"bucket/{key}" for key in keys)
    assert not fake.uploads


def test_an_upload_of_this_second_is_older_than_nothing() -> None:
    """Stores tell when it was started in milliseconds, and what time it is in seconds."""
    fake = FakeS3("bucket")
    fake.clock = timedelta(milliseconds=999) - timedelta(microseconds=datetime.now().microsecond)
    stale(fake, "new", age=timedelta(seconds=-1))
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert fs.list_uploads("bucket")[0]["age"] == 0
        assert fs.abort_uploads("bucket", older_than=3600) == []
        assert [row["name"] for row in fs.abort_uploads("bucket", older_than=0)] == ["bucket/new"]


@pytest.mark.parametrize("days", [-2, 2])
def test_ages_are_by_the_clock_of_the_store(days: int) -> None:
    """A machine whose clock is two days ahead must not abort a live upload of another host."""
    fake = FakeS3("bucket")
    fake.clock = timedelta(days=days)
    stale(fake, "live", age=timedelta(minutes=1))
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert fs.abort_uploads("bucket", older_than=86_400) == []
        assert fs.list_uploads("bucket")[0]["age"] == pytest.approx(60, abs=30)
        stale(fake, "old", age=timedelta(days=1, minutes=1))
        assert [row["name"] for row in fs.abort_uploads("bucket", older_than=86_400)] == ["bucket/old"]


def test_an_upload_is_left_alone_where_the_store_tells_no_time() -> None:
    fake = FakeS3("bucket")
    fake.tells_date = False
    stale(fake, "key")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert [row["age"] for row in fs.list_uploads("bucket")] == [None]
        assert fs.abort_uploads("bucket", older_than=0) == []
    assert fake.uploads


@pytest.mark.parametrize("page", [3, 4, 5, 7])
def test_a_store_that_refuses_its_own_marker_lists_all_uploads(page: int) -> None:
    """versitygw goes on by the key alone, which would leave out what is left of that key."""
    fake = FakeS3("bucket")
    fake.most_uploads, fake.refuses_upload_marker = page, True
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        for number in range(9):
            fs._client.multipart.create_multipart_upload(S3Path("bucket", f"key{number % 4}"), {})
        found = {row["upload_id"] for row in fs.list_uploads("bucket")}
        assert found == set(fake.uploads)


def test_more_uploads_to_one_key_than_such_a_store_lists_are_an_error() -> None:
    fake = FakeS3("bucket")
    fake.most_uploads, fake.refuses_upload_marker = 2, True
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        for _ in range(3):
            fs._client.multipart.create_multipart_upload(S3Path("bucket", "key"), {})
        with pytest.raises(ProtocolError, match="no more than 2 of the uploads to one key"):
            fs.list_uploads("bucket")
