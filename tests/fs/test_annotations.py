"""Annotations (docs/howto.md): texts beside an object, guarded by its ETag; nothing is lost elsewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    AccessDeniedError,
    ObjectChangedError,
    OperationUnsupportedError,
)
from fsspec_guarded_s3.errors import InvalidRequestError, ProtocolError
from tests.documents import DOCS
from tests.fake_s3 import FakeS3, crc32, md5_etag
from tests.opening import filesystem
from tests.scripted_server import Request, ScriptedServer, close, respond, s3_error
from tests.single_faults import is_probe, short_pauses  # noqa: F401

PATH, SLOT = "bucket/d/key", ("bucket", "d/key")
TEXT = '{"kind": "grün"}'


def holding() -> FakeS3:
    fake = FakeS3("bucket")
    fake.put(*SLOT, b"content")
    return fake


def annotating(server: ScriptedServer) -> list[Request]:
    return [request for request in server.requests if "annotation" in request.query and not is_probe(request)]


def test_a_text_is_kept_beside_the_object() -> None:
    fake = holding()
    before = fake.objects[SLOT]
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fs.put_annotation(PATH, "labels/a b.json", TEXT)
        assert fs.get_annotation(PATH, "labels/a b.json") == TEXT
        (row,) = fs.list_annotations(PATH)
        assert (row["AnnotationName"], row["Size"]) == ("labels/a b.json", len(TEXT.encode()))
        assert row["ETag"] == md5_etag(TEXT.encode()) and row["LastModified"] is not None
        put = annotating(server)[0]
        assert put.query == {"annotation": "", "annotationName": "labels/a b.json"}
        assert put.headers["x-amz-checksum-crc32"] == crc32(TEXT.encode())
        fs.put_annotation(PATH, "labels/a b.json", "other")
        assert fs.get_annotation(PATH, "labels/a b.json") == "other"
        fs.delete_annotation(PATH, "labels/a b.json")
        assert fs.list_annotations(PATH) == []
        with pytest.raises(FileNotFoundError):
            fs.get_annotation(PATH, "labels/a b.json")
    assert fake.objects[SLOT] == before


def test_the_lines_of_the_page_run() -> None:
    fake = FakeS3("my-bucket")
    fake.put("my-bucket", "scan.tif", b"1")
    (block,) = re.findall(r"^    etag = .*?(?=\n\n)", (DOCS / "howto.md").read_text(), re.S | re.M)
    with ScriptedServer(handler=fake) as server:
        space: dict[str, Any] = {"fs": filesystem(server.url)}
        exec(compile(re.sub(r"^    ", "", block, flags=re.M), "howto.md", "exec"), space)
    assert (space["labels"], space["names"]) == ('{"kind": "x-ray"}', ["labels.json"])
    assert not fake.notes["my-bucket", "scan.tif"]


@pytest.mark.parametrize("most", [1000, 2])
def test_all_pages_are_listed(most: int) -> None:
    fake = holding()
    fake.most_notes = most
    fake.notes[SLOT] = {name: b"1" for name in ("a1", "a2", "a3", "b1")}
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert [row["AnnotationName"] for row in fs.list_annotations(PATH)] == ["a1", "a2", "a3", "b1"]
        assert [row["AnnotationName"] for row in fs.list_annotations(PATH, "a")] == ["a1", "a2", "a3"]


@pytest.mark.parametrize("verb", ["put", "delete"])
def test_if_match_is_the_etag_of_the_object(verb: str) -> None:
    fake = holding()
    fake.notes[SLOT] = {"note": b"old"}
    arguments = ["note", "new"] if verb == "put" else ["note"]
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        call = getattr(fs, f"{verb}_annotation")
        with pytest.raises(ObjectChangedError):
            call(PATH, *arguments, if_match='"other"')
        assert fake.notes[SLOT] == {"note": b"old"}
        call(PATH, *arguments, if_match=fs.info(PATH)["ETag"])
        assert fake.notes[SLOT] == ({"note": b"new"} if verb == "put" else {})


def test_a_version_is_passed_on() -> None:
    seen: list[str] = []

    def handler(request: Request) -> Any:
        seen.append(request.query.get("versionId", ""))
        return respond(200, b"text", headers={"x-amz-object-version-id": "v1"})

    with ScriptedServer(handler=handler) as server:
        assert filesystem(server.url).get_annotation(PATH, "note", version_id="v1") == "text"
    assert seen == ["v1"]


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_lost_answer_is_repeated(lost: str) -> None:
    fake = holding()
    left = [close()]

    def fault(request: Request, about: Any) -> Any:
        return left.pop() if left and request.method == "PUT" else None

    if lost == "before":
        fake.fault = fault
    else:
        fake.after = fault
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).put_annotation(PATH, "note", TEXT)
        assert len(annotating(server)) == 2
    assert fake.notes[SLOT] == {"note": TEXT.encode()}


def test_a_text_that_was_altered_on_its_way_is_not_returned() -> None:
    answer = respond(200, b"other", headers={"x-amz-checksum-crc32": crc32(b"text")})
    with (
        ScriptedServer(handler=lambda request: answer) as server,
        pytest.raises(ProtocolError, match="checksum"),
    ):
        filesystem(server.url, max_attempts=2).get_annotation(PATH, "note")


def test_refusals_are_said() -> None:
    answers = [s3_error(400, "AnnotationLimitExceeded"), s3_error(403, "AccessDenied")]
    with ScriptedServer(handler=lambda request: answers.pop()) as server:
        fs = filesystem(server.url)
        with pytest.raises(AccessDeniedError, match="s3:PutObjectAnnotation"):
            fs.put_annotation(PATH, "note", TEXT)
        with pytest.raises(InvalidRequestError):
            fs.put_annotation(PATH, "note", TEXT)


WRONG: list[tuple[type[Exception], str, tuple[Any, ...]]] = [
    (ValueError, "name must have", ("", "x")),
    (ValueError, "name must have", ("ü" * 257, "x")),
    (ValueError, "name must not begin", ("AWS-note", "x")),
    (ValueError, "name must not begin", ("s3.note", "x")),
    (TypeError, "name must be", (b"note", "x")),
    (TypeError, "text must be", ("note", b"x")),
    (ValueError, "text must have", ("note", "")),
    (ValueError, "text must have", ("note", "x" * (2**20 + 1))),
    (ValueError, "if_match", ("note", "x", "")),
]


@pytest.mark.parametrize(("error", "words", "given"), WRONG, ids=[str(n) for n in range(len(WRONG))])
def test_wrong_arguments_are_named(error: type[Exception], words: str, given: tuple[Any, ...]) -> None:
    with ScriptedServer(handler=holding()) as server:
        with pytest.raises(error, match=words):
            filesystem(server.url).put_annotation(PATH, *given)
        assert not server.requests


# --- elsewhere ---


@pytest.mark.parametrize("how", ["ignored", "refused"])
def test_a_store_without_annotations_keeps_its_object(how: str) -> None:
    """One that ignores the query would replace the object by the text, or delete it."""
    fake = holding()
    if how == "ignored":
        fake.unknown_names = {"annotation", "annotationName"}
    fake.annotates = False
    before = fake.objects[SLOT]
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, probe="auto")
        for call in (
            lambda: fs.put_annotation(PATH, "note", TEXT),
            lambda: fs.delete_annotation(PATH, "note"),
            lambda: fs.get_annotation(PATH, "note"),
            lambda: fs.list_annotations(PATH),
        ):
            with pytest.raises(OperationUnsupportedError):
                call()
    assert fake.objects == {SLOT: before}


def test_a_store_with_annotations_is_tried_once() -> None:
    fake = holding()
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, probe="auto")
        fs.put_annotation(PATH, "note", TEXT)
        probes = sum(map(is_probe, server.requests))
        fs.put_annotation(PATH, "note", "other")
        assert sum(map(is_probe, server.requests)) == probes
        assert fs.get_annotation(PATH, "note") == "other"
    assert set(fake.objects) == {SLOT}


def test_directory_buckets_have_none() -> None:
    with ScriptedServer(handler=holding()) as server:
        fs = filesystem(server.url)
        with pytest.raises(OperationUnsupportedError, match="directory bucket"):
            fs.put_annotation("mine--use1-az4--x-s3/key", "note", TEXT)
        assert not server.requests


# --- copies ---


def test_a_copy_says_whether_annotations_go_along() -> None:
    with ScriptedServer(handler=holding()) as server:
        fs = filesystem(server.url)
        fs.cp_file(PATH, "bucket/one")
        fs.cp_file(PATH, "bucket/two", AnnotationDirective="EXCLUDE")
        fs.copy(PATH, "bucket/three", AnnotationDirective="COPY")
        name = "x-amz-object-annotation-directive"
        sent = [r.headers.get(name) for r in server.requests if "x-amz-copy-source" in r.headers]
        assert sent == [None, "EXCLUDE", "COPY"]
        with pytest.raises(ValueError, match="AnnotationDirective"):
            fs.cp_file(PATH, "bucket/four", AnnotationDirective="REPLACE")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="AnnotationDirective"):
            fs.cat_file(PATH, AnnotationDirective="COPY")  # type: ignore[call-overload]
