"""CRCs are combined rightly, downloads are compared with them, and uploads carry them."""

import base64
import contextlib
import http.server
import itertools
import json
import os
import re
import subprocess
import sys
import textwrap
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsspec_guarded_s3 import (
    ChecksumMismatchError,
    ConnectError,
    ResponseError,
    TransportError,
    WriteOutcomeUnknownError,
)
from fsspec_guarded_s3._values.checksums import (
    Crc,
    ObjectChecksum,
    algorithm_of,
    body_crc,
    combine,
    combined_crc,
    encoded,
    is_at_hand,
)
from fsspec_guarded_s3.errors import FileChangedError
from tests.data import period_free
from tests.fake_s3 import FakeS3, crc32
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, cut, s3_error
from tests.single_faults import named, once, operation, short_pauses  # noqa: F401

PATH = "bucket/key"
SLOT = ("bucket", "key")
DATA = period_free(3 * MIB + 7)
LARGE = period_free(12 * MIB, seed=1)
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}
WRONG = "AAAAAA=="
# https://reveng.sourceforge.io/crc-catalogue: the CRC of b"123456789"
CHECK_VALUES = {"crc32": 0xCBF43926, "crc32c": 0xE3069283, "crc64nvme": 0xAE8B14860A799888}


# --- combining ---


@pytest.mark.parametrize("name", list(CHECK_VALUES))
def test_algorithm_has_the_value_of_the_catalogue(name: str) -> None:
    if not is_at_hand(name):
        pytest.skip("there is no awscrt")
    assert algorithm_of(name).update(b"123456789", 0) == CHECK_VALUES[name]


def test_crc32_is_the_same_with_and_without_isal(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec_guarded_s3._values import checksums

    pytest.importorskip("isal")
    load = checksums._found.__wrapped__
    fast = load("crc32").update
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    plain = load("crc32").update
    assert fast is not plain is zlib.crc32
    for data in (b"", DATA[:1], DATA[:4097], memoryview(DATA)[3:], bytearray(DATA)):
        assert fast(data, 0) == plain(data, 0)
        assert fast(data, 0xFFFFFFFF) == plain(data, 0xFFFFFFFF)


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=6))
def test_crc32_of_parts_combines_to_that_of_the_whole(data: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:stop] for start, stop in itertools.pairwise(bounds)]
    parts = [(Crc("crc32", zlib.crc32(piece)), len(piece)) for piece in pieces]
    assert combined_crc(parts) == Crc("crc32", zlib.crc32(data))


@given(first=st.binary(max_size=100), second=st.binary(max_size=100))
@pytest.mark.parametrize("name", list(CHECK_VALUES))
def test_two_crcs_of_any_algorithm_combine(name: str, first: bytes, second: bytes) -> None:
    if not is_at_hand(name):
        pytest.skip("there is no awscrt")
    update = algorithm_of(name).update
    assert combine(update(first, 0), update(second, 0), len(second), name) == update(first + second, 0)


@settings(max_examples=30, deadline=None)
@given(first=st.integers(0, 2**32 - 1), length=st.integers(0, 5 * 2**40), more=st.integers(0, 5 * 2**40))
def test_combining_in_two_steps_is_combining_in_one(first: int, length: int, more: int) -> None:
    """Also for lengths that no test could hold."""
    at_once = combine(first, 0, length + more, "crc32")
    assert combine(combine(first, 0, length, "crc32"), 0, more, "crc32") == at_once


def test_no_parts_and_parts_of_several_algorithms_have_no_crc_together() -> None:
    assert combined_crc([]) is None
    assert combined_crc([(Crc("crc32", 1), 1), (Crc("crc32c", 1), 1)]) is None


@pytest.mark.parametrize("name", ["CRC32C", "CRC64NVME"])
def test_another_algorithm_goes_with_the_put_and_with_every_part(name: str) -> None:
    """And, combined, with Complete; the store's part names it too."""
    if not is_at_hand(name.lower()):
        pytest.skip("there is no awscrt")
    header = f"x-amz-checksum-{name.lower()}"
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url, s3_additional_kwargs={"ChecksumAlgorithm": name}, **PARTS)
        fs.pipe_file("bucket/small", DATA)
        assert server.requests[-1].headers[header] == body_crc(DATA, name.lower()).text()
        fs.pipe_file("bucket/large", LARGE)
        fs.cp_file("bucket/small", "bucket/copy")
        create, *parts, complete, _head, copied = server.requests[1:]
    assert create.headers["x-amz-checksum-algorithm"] == copied.headers["x-amz-checksum-algorithm"] == name
    assert [part.headers[header] for part in parts] == [body_crc(p.body, name.lower()).text() for p in parts]
    assert complete.headers[header] == body_crc(LARGE, name.lower()).text()
    assert complete.body.count(f"<Checksum{name}>".encode()) == len(parts) == 3
    assert not [request for request in server.requests if "x-amz-checksum-crc32" in request.headers]


def test_an_algorithm_that_is_not_at_hand_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec_guarded_s3._values import attribute_values

    monkeypatch.setattr(attribute_values, "is_at_hand", lambda name: name == "crc32")
    with pytest.raises(ValueError, match=r"ChecksumAlgorithm CRC32C needs awscrt: pip install awscrt"):
        filesystem("http://127.0.0.1:1", s3_additional_kwargs={"ChecksumAlgorithm": "CRC32C"})


@pytest.mark.parametrize(
    ("crc", "bits", "text"), [(0, 32, "AAAAAA=="), (1, 32, "AAAAAQ=="), (1, 64, "AAAAAAAAAAE=")]
)
def test_crc_is_written_big_endian_in_base64(crc: int, bits: int, text: str) -> None:
    assert encoded(crc, bits) == text


@given(order=st.permutations(range(5)), size=st.integers(1, 40))
@pytest.mark.parametrize("name", list(CHECK_VALUES))
def test_ranges_may_arrive_in_any_order_and_in_pieces(name: str, order: list[int], size: int) -> None:
    if not is_at_hand(name):
        pytest.skip("there is no awscrt")
    data = period_free(5 * size + 3)
    bits = algorithm_of(name).bits
    check = ObjectChecksum(name, encoded(algorithm_of(name).update(data, 0), bits))
    for number in order:
        start, stop = number * size, len(data) if number == 4 else (number + 1) * size
        middle = (start + stop) // 2
        check.add(start, memoryview(data)[start:middle])
        check.add(middle, memoryview(data)[middle:stop])
    check.verify()
    with pytest.raises(ChecksumMismatchError):
        ObjectChecksum(name, encoded(0x1234, bits)).verify()


# --- downloads ---


def stored(data: bytes, name: str, value: str, kind: str | None = "FULL_OBJECT") -> FakeS3:
    """A store that holds `data` with that checksum, which it tells to those who ask."""

    def after(request: Request, reply: Reply) -> Answer | None:
        if reply.status != 200 or request.headers.get("x-amz-checksum-mode") != "ENABLED":
            return None
        headers = {**reply.headers, f"x-amz-checksum-{name}": value}
        return replace(reply, headers=headers | ({"x-amz-checksum-type": kind} if kind else {}))

    fake = FakeS3("bucket", after=after)
    fake.put(*SLOT, data)
    return fake


def read(url: str, how: str, target: Path, **options: object) -> bytes:
    fs = filesystem(url, range_size=MIB, **options)
    if how == "cat_file":
        return fs.cat_file(PATH)
    fs.get_file(PATH, target)
    return target.read_bytes()


BOTH = pytest.mark.parametrize("how", ["cat_file", "get_file"])


@BOTH
@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["empty", "byte", "ranges"])
@pytest.mark.parametrize("name", list(CHECK_VALUES))
def test_object_with_the_right_checksum_is_read(tmp_path: Path, how: str, data: bytes, name: str) -> None:
    value = (
        encoded(algorithm_of(name).update(data, 0), algorithm_of(name).bits) if is_at_hand(name) else WRONG
    )
    with ScriptedServer(handler=stored(data, name, value)) as server:
        assert read(server.url, how, tmp_path / "f") == data


@BOTH
@pytest.mark.parametrize("data", [b"x", DATA], ids=["byte", "ranges"])
@pytest.mark.parametrize("name", list(CHECK_VALUES))
def test_mismatch_names_both_values_and_leaves_the_target_as_it_was(
    tmp_path: Path, how: str, data: bytes, name: str
) -> None:
    if not is_at_hand(name):
        pytest.skip("there is no awscrt")
    right = encoded(algorithm_of(name).update(data, 0), algorithm_of(name).bits)
    wrong = encoded(0x1234, algorithm_of(name).bits)
    target = tmp_path / "f"
    target.write_bytes(b"old")
    fake = stored(data, name, wrong)
    with ScriptedServer(handler=fake) as server, pytest.raises(ChecksumMismatchError) as caught:
        read(server.url, how, target)
    assert right in str(caught.value)
    assert wrong in str(caught.value)
    assert isinstance(caught.value, TransportError)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert target.read_bytes() == b"old"


@BOTH
def test_bytes_that_were_spoiled_on_their_way_once_are_read_again(tmp_path: Path, how: str) -> None:
    """The store is right, one answer was not: trying again gives the bytes."""
    spoiled: list[int] = []

    def after(request: Request, reply: Reply) -> Answer | None:
        if request.method != "GET" or spoiled:
            return None
        spoiled.append(1)
        return replace(reply, body=b"\0" + reply.body[1:])

    fake = FakeS3("bucket", after=after)
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).pipe_file(PATH, DATA)
        assert read(server.url, how, tmp_path / "f") == DATA
    assert spoiled == [1]


@BOTH
@pytest.mark.parametrize(
    ("value", "kind"), [(WRONG, "COMPOSITE"), (f"{WRONG}-3", None), (f"{WRONG}-3", "COMPOSITE")]
)
def test_composite_checksum_is_ignored(tmp_path: Path, how: str, value: str, kind: str | None) -> None:
    with ScriptedServer(handler=stored(DATA, "crc32", value, kind)) as server:
        assert read(server.url, how, tmp_path / "f") == DATA


@BOTH
def test_unknown_algorithm_is_ignored(tmp_path: Path, how: str) -> None:
    with ScriptedServer(handler=stored(DATA, "crc16", WRONG)) as server:
        assert read(server.url, how, tmp_path / "f") == DATA


@BOTH
def test_option_verify_checksums_false_neither_asks_nor_compares(tmp_path: Path, how: str) -> None:
    with ScriptedServer(handler=stored(DATA, "crc32", WRONG)) as server:
        assert read(server.url, how, tmp_path / "f", verify_checksums=False) == DATA
        assert not any("x-amz-checksum-mode" in request.headers for request in server.requests)


@BOTH
def test_option_verify_checksums_false_ignores_what_a_store_tells_unasked(tmp_path: Path, how: str) -> None:
    def after(request: Request, reply: Reply) -> Answer | None:
        return replace(reply, headers={**reply.headers, "x-amz-checksum-crc32": WRONG})

    fake = FakeS3("bucket", after=after)
    fake.put(*SLOT, DATA)
    with ScriptedServer(handler=fake) as server:
        assert read(server.url, how, tmp_path / "f", verify_checksums=False) == DATA


@BOTH
def test_body_that_breaks_is_resumed_and_still_verified(tmp_path: Path, how: str) -> None:
    broken: list[int] = []

    def after(request: Request, reply: Reply) -> Answer | None:
        if request.method != "GET" or broken:
            return None
        broken.append(1)
        return cut(reply.status, reply.body, after=len(reply.body) // 2, headers=reply.headers)

    fake = FakeS3("bucket", after=after)
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).pipe_file(PATH, DATA)
        assert read(server.url, how, tmp_path / "f") == DATA
    assert broken == [1]


def test_slice_of_an_object_is_not_compared_with_the_whole() -> None:
    with ScriptedServer(handler=stored(DATA, "crc32", WRONG)) as server:
        assert filesystem(server.url).cat_file(PATH, 5, 50) == DATA[5:50]


# --- uploads ---


@pytest.mark.parametrize("data", [b"x", DATA, LARGE], ids=["byte", "put", "parts"])
@pytest.mark.parametrize("how", ["pipe", "put", "open"])
def test_every_upload_carries_the_crc32_of_its_bytes(tmp_path: Path, how: str, data: bytes) -> None:
    """FakeS3 compares that of PUT, of every part, and of the whole object on Complete."""
    (tmp_path / "f").write_bytes(data)
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS)
        if how == "pipe":
            fs.pipe_file(PATH, data)
        elif how == "put":
            fs.put_file(tmp_path / "f", PATH)
        else:
            with fs.open(PATH, "wb") as file:
                for at in range(0, len(data), 1_000_003):
                    file.write(data[at : at + 1_000_003])
        carried = {name: named(server, name) for name in ("PUT", "UploadPart", "Complete")}
        assert fs.cat_file(PATH) == data
    assert fake.objects[SLOT].crc32 == crc32(data)
    for request in carried["PUT"] + carried["UploadPart"]:
        assert request.headers["x-amz-checksum-crc32"] == crc32(request.body)
    for request in carried["Complete"]:
        assert request.headers["x-amz-checksum-crc32"] == crc32(data)
        assert request.headers["x-amz-checksum-type"] == "FULL_OBJECT"
        assert request.headers["x-amz-mp-object-size"] == str(len(data))
        sent = re.findall(rb"<ChecksumCRC32>(.*?)</ChecksumCRC32>", request.body)
        assert [text.decode() for text in sent] == [
            crc32(LARGE[at : at + 5 * MIB]) for at in (0, 5 * MIB, 10 * MIB)
        ]


@pytest.mark.parametrize("code", ["", "NotImplemented", "InvalidRequest"])
def test_the_checksum_of_the_whole_is_for_stores_that_say_that_they_compare_it(code: str) -> None:
    """Others take it for one of checksums, or refuse to be asked: then each part has its own alone."""

    def refuse(request: Request, fake: FakeS3) -> Answer | None:
        asks = operation(request) == "CreateMultipartUpload" and "x-amz-checksum-type" in request.headers
        return s3_error(501 if code == "NotImplemented" else 400, code) if code and asks else None

    fake = FakeS3("bucket", fault=refuse)
    fake.tells_checksums = False
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, **PARTS).pipe_file(PATH, LARGE)
        (complete,) = named(server, "Complete")
        created = named(server, "CreateMultipartUpload")
        parts = named(server, "UploadPart")
    assert fake.objects[SLOT].body == LARGE
    assert not {"x-amz-checksum-crc32", "x-amz-checksum-type"} & set(complete.headers)
    assert complete.body.count(b"<ChecksumCRC32>") == len(parts) == 3
    assert len(created) == (2 if code else 1)


def test_another_refusal_of_an_upload_is_final() -> None:
    """A storage class that is none is not asked for twice."""
    wrong = s3_error(400, "InvalidStorageClass")
    fake = FakeS3("bucket", fault=lambda request, _: wrong if "uploads" in request.query else None)
    with ScriptedServer(handler=fake) as server:
        with pytest.raises(ValueError, match="InvalidStorageClass"):
            filesystem(server.url, **PARTS).pipe_file(PATH, LARGE)
        assert len(named(server, "CreateMultipartUpload")) == 1


def test_part_that_is_spoiled_on_its_way_is_refused_by_the_store_and_nothing_is_published() -> None:
    """As if memory had changed between the CRC and the sending."""

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if operation(request) == "UploadPart" and request.query["partNumber"] == "2":
            return FakeS3.__call__(plain, replace(request, body=b"\0" + request.body[1:]))
        return None

    fake, plain = FakeS3("bucket", fault=fault), FakeS3("bucket")
    plain.uploads = fake.uploads
    with ScriptedServer(handler=fake) as server, pytest.raises(ValueError, match="CRC32"):
        filesystem(server.url, **PARTS).pipe_file(PATH, LARGE)
    assert not fake.objects
    assert not fake.uploads


# --- a file that changes while it is uploaded ---


def when_part(number: str, action: Callable[[], object]) -> Callable[[Request, FakeS3], Answer | None]:
    """Do `action` once, when that part arrives."""
    left = [action]

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if left and operation(request) == "UploadPart" and request.query["partNumber"] == number:
            left.pop()()
        return None

    return fault


def upload_while(local: Path, part: str, change: Callable[[], object], fake: FakeS3) -> None:
    """Upload LARGE from `local`, and do `change` when that part arrives."""
    local.write_bytes(LARGE)
    os.utime(local, ns=(10**18, 10**18))
    fake.fault = when_part(part, change)
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, max_concurrency=1, **PARTS).put_file(local, PATH)


@pytest.mark.parametrize("part", ["1", "3"])
def test_file_that_is_rewritten_while_it_is_uploaded_is_not_published(tmp_path: Path, part: str) -> None:
    local, fake = tmp_path / "f", FakeS3("bucket")

    def rewrite() -> None:
        with local.open("r+b") as file:
            file.write(LARGE[::-1])

    with pytest.raises(FileChangedError, match="changed while it was uploaded") as caught:
        upload_while(local, part, rewrite, fake)
    assert isinstance(caught.value, ValueError)
    assert not fake.objects
    assert not fake.uploads


@pytest.mark.parametrize("size", [0, 5 * MIB, 11 * MIB])
def test_file_that_becomes_shorter_publishes_nothing_and_leaves_no_upload(tmp_path: Path, size: int) -> None:
    local = tmp_path / "f"
    local.write_bytes(LARGE)
    fake = FakeS3("bucket", fault=when_part("1", lambda: os.truncate(local, size)))
    with ScriptedServer(handler=fake) as server, pytest.raises(FileChangedError):
        filesystem(server.url, max_concurrency=1, **PARTS).put_file(local, PATH)
    assert not fake.objects
    assert not fake.uploads


def test_file_that_grows_is_published_as_it_was_at_the_beginning(tmp_path: Path) -> None:
    local, fake = tmp_path / "f", FakeS3("bucket")

    def grow() -> None:
        with local.open("ab") as file:
            file.write(b"more")

    upload_while(local, "1", grow, fake)
    assert fake.objects[SLOT].body == LARGE


def test_file_that_becomes_shorter_before_a_single_put_arrived_publishes_nothing(tmp_path: Path) -> None:
    """The first attempt found no connection, so that it cannot have been applied."""
    local, fake = tmp_path / "f", FakeS3("bucket")
    local.write_bytes(DATA)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        exchange, failed = fs._client.store.transport.exchange, [ConnectError("refused", request_sent=False)]

        def shorten_and_fail(wire: Any, deadline: float) -> Any:
            if failed:
                os.truncate(local, 100)
                raise failed.pop()
            return exchange(wire, deadline)

        fs._client.store.transport.exchange = shorten_and_fail  # type: ignore[method-assign]
        with pytest.raises(FileChangedError):
            fs.put_file(local, PATH)
    assert not fake.objects


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("size", [100, len(DATA)], ids=["shorter", "rewritten"])
@pytest.mark.parametrize("mode", ["overwrite", "create"])
def test_file_that_changes_after_a_put_whose_answer_was_lost_does_not_hide_what_became_of_it(
    tmp_path: Path, applied: bool, size: int, mode: str
) -> None:
    """FileChangedError would say that nothing was published, which nobody knows."""
    local = tmp_path / "f"
    local.write_bytes(DATA)

    def change() -> Answer:
        local.write_bytes(DATA[::-1][:size])
        return close()

    puts: list[Request] = []

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        puts.extend([request] if request.method == "PUT" else [])
        return change() if request.method == "PUT" and len(puts) == 1 and not applied else None

    def after(request: Request, reply: Reply) -> Answer | None:
        return change() if request.method == "PUT" and len(puts) == 1 else None

    fake = FakeS3("bucket", fault=fault, after=after)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        if applied and mode == "create":  # the write token proves it
            fs.put_file(local, PATH, mode=mode)
        else:
            with pytest.raises(WriteOutcomeUnknownError) as caught:
                fs.put_file(local, PATH, mode=mode)
            assert caught.value.maybe_applied
    assert [stored.body for stored in fake.objects.values()] == ([DATA] if applied else [])


def between_the_passes(local: Path, new: bytes, part: str = "") -> Callable[[Request, FakeS3], Answer | None]:
    """Rewrite the file as if after the CRC of that part (of the PUT) and before its bytes were sent."""

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.method != "PUT" or request.query.get("partNumber", "") != part:
            return None
        local.write_bytes(new)
        os.utime(local, ns=(2 * 10**18, 2 * 10**18))
        begin = max(int(part or "1") - 1, 0) * 5 * MIB
        spoiled = new[begin : begin + len(request.body)]
        return FakeS3.__call__(plain, replace(request, body=spoiled))

    plain = FakeS3("bucket")
    return lambda request, fake: setattr(plain, "uploads", fake.uploads) or fault(request, fake)


REWRITTEN = {"same size": LARGE[::-1], "longer": LARGE[::-1] + b"more", "shorter": LARGE[::-1][:-1]}


@pytest.mark.parametrize("new", list(REWRITTEN))
@pytest.mark.parametrize("threshold", [5 * MIB, 64 * MIB], ids=["parts", "one PUT"])
def test_rewritten_between_crc_and_sending_is_file_changed_from_the_answer_of_the_store(
    tmp_path: Path, threshold: int, new: str
) -> None:
    local = tmp_path / "f"
    local.write_bytes(LARGE)
    os.utime(local, ns=(10**18, 10**18))
    fake = FakeS3("bucket")
    fake.fault = between_the_passes(local, REWRITTEN[new], "2" if threshold == 5 * MIB else "")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=threshold, max_concurrency=1)
        with pytest.raises(FileChangedError, match="changed while it was uploaded") as caught:
            fs.put_file(local, PATH)
    assert isinstance(caught.value.__cause__, ResponseError)
    assert caught.value.__cause__.code == "BadDigest"
    assert not fake.objects
    assert not fake.uploads


@pytest.mark.parametrize("code", ["BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"])
@pytest.mark.parametrize("changes", [True, False], ids=["changed", "unchanged"])
def test_refused_bytes_of_a_file_are_its_change_only_if_it_was_changed(
    tmp_path: Path, code: str, changes: bool
) -> None:
    local = tmp_path / "f"
    local.write_bytes(DATA)

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if changes:
            os.utime(local, ns=(10**18, 10**18))
        return s3_error(400, code)

    fake = FakeS3("bucket", fault=fault)
    with ScriptedServer(handler=fake) as server, pytest.raises(ValueError) as caught:
        filesystem(server.url).put_file(local, PATH)
    assert isinstance(caught.value, FileChangedError) is changes
    assert len(server.requests) == 1


def test_another_refusal_is_told_as_it_is_whatever_became_of_the_file(tmp_path: Path) -> None:
    local = tmp_path / "f"
    local.write_bytes(DATA)

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        local.write_bytes(DATA[::-1])
        return s3_error(400, "InvalidStorageClass")

    fake = FakeS3("bucket", fault=fault)
    with ScriptedServer(handler=fake) as server, pytest.raises(ValueError, match="StorageClass") as caught:
        filesystem(server.url).put_file(local, PATH)
    assert not isinstance(caught.value, FileChangedError)


def test_file_that_is_replaced_by_a_longer_one_in_place_is_no_file_that_grew(tmp_path: Path) -> None:
    """Parts of the old content and parts of the new one would be published as one object."""
    local, fake = tmp_path / "f", FakeS3("bucket")
    with pytest.raises(FileChangedError):
        upload_while(local, "2", lambda: local.write_bytes(LARGE[::-1] + b"more"), fake)
    assert not fake.objects
    assert not fake.uploads


@pytest.mark.parametrize("change", ["rewritten", "shorter", "grown"])
def test_file_that_changes_while_it_is_uploaded_in_a_transaction(tmp_path: Path, change: str) -> None:
    """As without one: what it had at the beginning is published, or nothing."""
    local, fake = tmp_path / "f", FakeS3("bucket")
    local.write_bytes(LARGE)
    os.utime(local, ns=(10**18, 10**18))

    def act() -> None:
        with local.open("ab" if change == "grown" else "r+b") as file:
            file.truncate(MIB) if change == "shorter" else file.write(LARGE[::-1])

    fake.fault = when_part("1", act)
    expected: Any = contextlib.nullcontext() if change == "grown" else pytest.raises(FileChangedError)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_concurrency=1, **PARTS)
        with expected, fs.transaction:
            fs.put_file(local, PATH)
    assert [stored.body for stored in fake.objects.values()] == ([LARGE] if change == "grown" else [])
    assert not fake.uploads


def test_file_that_is_rewritten_after_a_single_put_arrived_is_no_failure_of_what_was_published(
    tmp_path: Path,
) -> None:
    """FileChangedError says that nothing was published, so that must be so."""
    local = tmp_path / "f"
    local.write_bytes(DATA)
    os.utime(local, ns=(10**18, 10**18))

    def after(request: Request, reply: Reply) -> Answer | None:
        local.write_bytes(DATA[::-1])
        return None

    fake = FakeS3("bucket", after=after)
    with ScriptedServer(handler=fake) as server:
        try:
            filesystem(server.url).put_file(local, PATH)
        except FileChangedError:
            assert not fake.objects
        else:
            assert fake.objects[SLOT].body == DATA


def test_file_changed_error_can_be_caught_by_the_name_that_the_package_exports() -> None:
    """Whoever wants to catch it must not have to import a private module."""
    import fsspec_guarded_s3

    assert fsspec_guarded_s3.FileChangedError is FileChangedError  # type: ignore[attr-defined]


# --- memory ---


class Discarding(http.server.BaseHTTPRequestHandler):
    """A store that takes multipart uploads, compares the CRC of every part, and keeps nothing."""

    protocol_version = "HTTP/1.1"
    received: list[int]
    problems: list[str]

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_PUT(self) -> None:
        size, crc = int(self.headers["content-length"]), 0
        self.received.append(size)
        while size:
            piece = self.rfile.read(min(size, 2**18))
            crc, size = zlib.crc32(piece, crc), size - len(piece)
        if base64.b64encode(crc.to_bytes(4, "big")).decode() != self.headers["x-amz-checksum-crc32"]:
            self.problems.append(self.path)
        self._answer(b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        self._answer(b"<A><UploadId>u</UploadId></A>" if "uploads" in query else b'<A><ETag>"e"</ETag></A>')

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("ETag", '"e"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def discarding() -> Iterator[tuple[str, type[Discarding]]]:
    handler = type("Handler", (Discarding,), {"received": [], "problems": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", handler
        finally:
            server.shutdown()
            thread.join()


PEAK = """
    import json, sys
    from tests.opening import filesystem

    def peak():
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

    fs = filesystem(sys.argv[1])
    before = peak()
    fs.put_file(sys.argv[2], "bucket/key")
    print(json.dumps([before, peak()]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_multipart_put_file_of_512_mib_needs_less_than_100_mib_of_memory(tmp_path: Path) -> None:
    local = tmp_path / "f"
    with local.open("wb") as file:
        for seed in range(64):
            file.write(period_free(8 * MIB, seed=seed))
    root = str(Path(__file__).parents[2])
    with discarding() as (url, handler):
        command = [sys.executable, "-c", textwrap.dedent(PEAK), url, str(local)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    assert sum(handler.received) == 512 * MIB
    assert handler.problems == []
    assert after - before < 100 * MIB
