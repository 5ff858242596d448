"""Forms that others may upload by: signed as botocore signs them, with a policy that S3 understands."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import datetime, timedelta, timezone
from email import message_from_bytes
from fnmatch import fnmatchcase
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.session
import pytest
import requests
from botocore.credentials import Credentials

from fsspec_guarded_s3 import CredentialsError, GuardedS3FileSystem, OperationUnsupportedError
from fsspec_guarded_s3._auth.signer import Signer
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, respond, s3_error
from tests.servers import MotoServer
from tests.stores import new_store

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "hush-secret", "hush-token"
URL = "https://127.0.0.1:9"


def opened(url: str = URL, **options: Any) -> GuardedS3FileSystem:
    return filesystem(url, **{"key": KEY, "secret": SECRET, **options})


def policy(fields: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(fields["policy"]))
    return found


def signed_by_botocore(fields: dict[str, str], service: str = "s3") -> str:
    """The signature that botocore makes of the policy of these fields."""
    auth = botocore.auth.S3SigV4PostAuth(Credentials(KEY, SECRET, TOKEN), service, "us-east-1")
    request = botocore.awsrequest.AWSRequest("POST", URL)
    request.context["timestamp"] = fields["x-amz-date"]
    signature: str = auth.signature(fields["policy"], request)
    return signature


class Form:
    """S3's side of a form: checks its signature, its policy and its time, and keeps the file."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def __call__(self, request: Request) -> Answer:
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        message = message_from_bytes(head + request.body)
        fields: dict[str, str] = {}
        for part in message.get_payload():
            name = part.get_param("name", header="content-disposition")
            data = part.get_payload(decode=True)
            if name == "file":
                return self._store(request.path.strip("/"), fields, part.get_filename() or "", data)
            fields[name.lower()] = data.decode()
        return s3_error(400, "IncorrectNumberOfFilesInPostRequest")

    def _store(self, bucket: str, fields: dict[str, str], filename: str, data: bytes) -> Answer:
        if fields["x-amz-signature"] != signed_by_botocore(fields):
            return s3_error(403, "SignatureDoesNotMatch")
        said = policy(fields)
        if datetime.strptime(said["expiration"], "%Y-%m-%dT%H:%M:%S%z") < datetime.now(timezone.utc):
            return s3_error(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
        left = {**fields, "bucket": bucket}
        for name in ("policy", "x-amz-signature"):
            del left[name]
        for condition in said["conditions"]:
            if not self._holds(condition, left, len(data)):
                return s3_error(403, "AccessDenied", f"Invalid according to Policy: {condition}")
        about = {name for condition in said["conditions"] for name in self._about(condition)}
        if left.keys() - about:
            return s3_error(403, "AccessDenied", f"Extra input fields: {left.keys() - about}")
        self.objects[fields["key"].replace("${filename}", filename)] = data
        return respond(204)

    @staticmethod
    def _about(condition: Any) -> list[str]:
        if isinstance(condition, dict):
            return [name.lower() for name in condition]
        return [] if condition[0] == "content-length-range" else [condition[1][1:].lower()]

    def _holds(self, condition: Any, fields: dict[str, str], size: int) -> bool:
        if isinstance(condition, dict):
            return all(fields.get(name.lower()) == text for name, text in condition.items())
        kind, name, text = condition
        if kind == "content-length-range":
            return bool(name <= size <= text)
        value = fields.get(name[1:].lower(), "")
        return value.startswith(text) if kind == "starts-with" else value == text


def upload(form: Any, data: bytes, name: str = "note.txt", **more: str) -> int:
    fields = {**form["fields"], **more}
    answer = requests.post(form["url"], data=fields, files={"file": (name, data)}, timeout=60)
    return answer.status_code


# --- as botocore signs ---


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("key", ["d/a b+c", "d/ünï", "d/${filename}"])
def test_url_and_fields_are_botocores(monkeypatch: pytest.MonkeyPatch, token: str | None, key: str) -> None:
    given = {"acl": "private", "Content-Type": "text/plain"}
    conditions: list[Any] = [["content-length-range", 1, 9]]
    client = botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=URL,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        aws_session_token=token,
        config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    wanted = [*conditions, *({name: text} for name, text in given.items())]
    theirs = client.generate_presigned_post("bucket", key, dict(given), wanted, 60)
    date = theirs["fields"]["x-amz-date"]
    monkeypatch.setattr(Signer, "_timestamp", lambda self: date)
    ours = opened(token=token).sign_post(f"bucket/{key}", 60, given, min_size=1, max_size=9)
    assert ours["url"] == theirs["url"]
    varying = {"policy", "x-amz-signature"}
    assert ours["fields"].keys() == theirs["fields"].keys()
    assert all(ours["fields"][n] == theirs["fields"][n] for n in theirs["fields"].keys() - varying)

    def rows(fields: dict[str, str]) -> list[str]:
        return sorted(json.dumps(condition) for condition in policy(fields)["conditions"])

    assert rows(ours["fields"]) == rows(theirs["fields"])
    assert ours["fields"]["x-amz-signature"] == signed_by_botocore(ours["fields"])


def test_it_ends_when_it_is_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock of the store, where that is known."""
    monkeypatch.setattr(Signer, "_now", lambda self: 1_800_000_000.0)
    fs = opened()
    fs._client.store.signer._clock_offset = timedelta(hours=1)
    said = policy(fs.sign_post("bucket/key", 60)["fields"])
    moment = datetime.fromtimestamp(1_800_000_000 + 3600 + 60, timezone.utc)
    assert said["expiration"] == moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_on_aws_it_goes_to_the_host_of_the_bucket() -> None:
    fs = GuardedS3FileSystem(key=KEY, secret=SECRET, region="eu-west-1", skip_instance_cache=True)
    form = fs.sign_post("my-bucket/key")
    assert form["url"] == "https://my-bucket.s3.eu-west-1.amazonaws.com/"
    assert fnmatchcase(form["fields"]["x-amz-credential"], f"{KEY}/*/eu-west-1/s3/aws4_request")


# --- what the policy allows ---


def test_a_store_takes_what_the_policy_allows_and_nothing_else() -> None:
    store = Form()
    with ScriptedServer(handler=store) as server:
        fs = opened(server.url, token=TOKEN)
        form = fs.sign_post(
            "bucket/in/${filename}",
            fields={"x-amz-meta-from": "a form"},
            conditions=[["starts-with", "$Content-Type", "text/"]],
            min_size=2,
            max_size=5,
        )
        assert upload(form, b"hello", **{"Content-Type": "text/csv"}) == 204
        assert upload(form, b"hello", **{"Content-Type": "image/png"}) == 403
        assert upload(form, b"hello") == 403
        assert upload(form, b"hello!", **{"Content-Type": "text/csv"}) == 403
        assert upload(form, b"h", **{"Content-Type": "text/csv"}) == 403
        assert upload(form, b"hello", acl="public-read", **{"Content-Type": "text/csv"}) == 403
        other = {"url": form["url"], "fields": {**form["fields"], "key": "elsewhere"}}
        assert upload(other, b"hello", **{"Content-Type": "text/csv"}) == 403
        assert store.objects == {"in/note.txt": b"hello"}


def test_fields_that_are_given_need_no_condition() -> None:
    """S3 refuses a field that the policy says nothing about."""
    store = Form()
    with ScriptedServer(handler=store) as server:
        form = opened(server.url, token=TOKEN).sign_post(
            "bucket/key",
            fields={"Content-Type": "text/plain", "success_action_status": "201"},
            conditions=[["starts-with", "$content-type", "text/"]],
        )
        assert upload(form, b"1") == 204
        said = policy(form["fields"])["conditions"]
        assert sum("content-type" in json.dumps(condition).lower() for condition in said) == 1


def test_moto_takes_it(moto: MotoServer) -> None:
    store = new_store(moto)
    form = store.fs.sign_post(store.path("in/note"), fields={"Content-Type": "text/csv"}, max_size=10)
    assert upload(form, b"1,2") in (200, 204)
    assert store.fs.cat_file(store.path("in/note")) == b"1,2"


def test_the_coroutine_gives_the_same() -> None:
    form = asyncio.run(opened()._sign_post("bucket/key", max_size=3))
    assert policy(form["fields"])["conditions"][0] == ["content-length-range", 0, 3]


# --- what it is not for ---

WRONG: list[tuple[type[Exception], str, dict[str, Any]]] = [
    (ValueError, "expires must be", {"expires": 0}),
    (ValueError, "expires must be", {"expires": 604_801}),
    (TypeError, "fields must", {"fields": [("a", "b")]}),
    (TypeError, "fields must have text", {"fields": {"x-amz-meta-n": 3}}),
    (ValueError, "'Content-Type', .*, not 'ContentType'", {"fields": {"ContentType": "text/plain"}}),
    (ValueError, "not 'Metadata'", {"fields": {"Metadata": "n"}}),
    (ValueError, "fields must not have 'key'", {"fields": {"key": "other"}}),
    (ValueError, "fields must not have 'Policy'", {"fields": {"Policy": "other"}}),
    (ValueError, "conditions must not be about 'bucket'", {"conditions": [{"bucket": "other"}]}),
    (ValueError, "conditions must not be about 'key'", {"conditions": [["starts-with", "$key", ""]]}),
    (ValueError, "conditions must be like", {"conditions": [["ends-with", "$acl", ""]]}),
    (ValueError, "conditions must be like", {"conditions": [["eq", "acl", ""]]}),
    (ValueError, "conditions must be like", {"conditions": [{"acl": 3}]}),
    (TypeError, "conditions must be a list", {"conditions": ["acl"]}),
    (TypeError, "conditions must be a list", {"conditions": [["eq", "$acl"]]}),
    (ValueError, "min_size must be at most max_size", {"min_size": 3, "max_size": 2}),
    (ValueError, "max_size", {"max_size": -1}),
    (TypeError, "max_size", {"max_size": "10"}),
]


@pytest.mark.parametrize(("error", "words", "given"), WRONG, ids=[str(row[2]) for row in WRONG])
def test_wrong_arguments_are_named(error: type[Exception], words: str, given: dict[str, Any]) -> None:
    with pytest.raises(error, match=words):
        opened().sign_post("bucket/key", **given)


@pytest.mark.parametrize("path", ["bucket", "bucket/d/", "bucket/${filename}/x"])
def test_the_path_names_an_object(path: str) -> None:
    with pytest.raises((ValueError, IsADirectoryError)):
        opened().sign_post(path)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("mine--use1-az4--x-s3/key", {}),
        ("bucket/key", {"dialect": "r2"}),
        ("bucket/key", {"dialect": "gcs"}),
    ],
)
def test_where_there_are_no_forms_the_error_says_what_to_do(path: str, options: dict[str, Any]) -> None:
    with pytest.raises(OperationUnsupportedError, match="sign a PUT"):
        opened(**options).sign_post(path)


def test_without_credentials_nothing_is_signed() -> None:
    with pytest.raises(CredentialsError, match="anon"):
        filesystem(URL, key=None, secret=None, anon=True).sign_post("bucket/key")
