"""The exceptions: the builtin that a caller would catch, with errno and facts, without secrets."""

import copy
import errno
import logging
import pickle
import re
from collections.abc import Iterator

import botocore.session
import pytest

import fsspec_guarded_s3
from fsspec_guarded_s3 import GuardedS3Error, ResponseError, ServerError, ThrottledError, errors
from fsspec_guarded_s3._s3.error_codes import BY_CODE, error_class, error_message
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer, close, s3_error

BUILTINS: dict[str, tuple[type[OSError] | type[ValueError], int]] = {
    "AccessDeniedError": (PermissionError, errno.EACCES),
    "BucketExistsError": (FileExistsError, errno.EEXIST),
    "CommitConflictError": (OSError, errno.ESTALE),
    "ConfigurationError": (ValueError, errno.EINVAL),
    "ConflictError": (OSError, errno.EBUSY),
    "ConnectError": (ConnectionError, errno.ECONNREFUSED),
    "CredentialsError": (PermissionError, errno.EACCES),
    "DeleteObjectsError": (OSError, errno.EIO),
    "EncryptionUnsupportedError": (OSError, errno.ENOTSUP),
    "DirectoryNotEmptyError": (OSError, errno.ENOTEMPTY),
    "GuardedS3Error": (OSError, errno.EIO),
    "IncompleteBodyError": (ConnectionError, errno.ECONNRESET),
    "InvalidRequestError": (ValueError, errno.EINVAL),
    "ObjectChangedError": (OSError, errno.ESTALE),
    "ObjectExistsError": (FileExistsError, errno.EEXIST),
    "ObjectNotFoundError": (FileNotFoundError, errno.ENOENT),
    "OperationNotImplementedError": (NotImplementedError, errno.ENOTSUP),
    "OperationUnsupportedError": (NotImplementedError, errno.ENOTSUP),
    "PreconditionFailedError": (OSError, errno.ESTALE),
    "PreconditionUnsupportedError": (OSError, errno.ENOTSUP),
    "ChecksumMismatchError": (OSError, errno.EBADMSG),
    "TransactionError": (OSError, errno.EIO),
    "ProtocolError": (OSError, errno.EPROTO),
    "RangeNotSatisfiableError": (ValueError, errno.EINVAL),
    "ReadTimeoutError": (TimeoutError, errno.ETIMEDOUT),
    "ResponseError": (OSError, errno.EIO),
    "SendTimeoutError": (TimeoutError, errno.ETIMEDOUT),
    "ServerError": (OSError, errno.EIO),
    "ThrottledError": (OSError, errno.EAGAIN),
    "TooLargeError": (ValueError, errno.EFBIG),
    "TouchUnsupportedError": (ValueError, errno.EEXIST),
    "TransportError": (OSError, errno.EIO),
    "WriteOutcomeUnknownError": (OSError, errno.EIO),
}


def tree(root: type[GuardedS3Error] = GuardedS3Error) -> Iterator[type[GuardedS3Error]]:
    """The class and all below it."""
    yield root
    for kind in root.__subclasses__():
        yield from tree(kind)


KINDS = sorted(set(tree()), key=lambda kind: kind.__name__)
every_error = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def test_every_error_is_public_and_listed_here() -> None:
    names = {kind.__name__ for kind in KINDS}
    assert names == set(BUILTINS)
    assert names <= set(fsspec_guarded_s3.__all__)
    assert names | {"FileChangedError"} == set(errors.__all__)


@every_error
def test_error_is_its_builtin_and_has_an_errno(kind: type[GuardedS3Error]) -> None:
    builtin, number = BUILTINS[kind.__name__]
    error = kind("what happened")
    assert isinstance(error, OSError)
    assert isinstance(error, builtin)
    assert error.errno == number


@every_error
@pytest.mark.parametrize("way", ["pickle", "copy"])
def test_error_survives_a_pickle_with_its_facts(kind: type[GuardedS3Error], way: str) -> None:
    facts = {"bucket": "b", "key": "k/é", "operation": "PutObject", "status": 412, "code": "Code"}
    error = kind("what happened", request_id="ID", maybe_applied=True, region="eu-west-1", **facts)
    again = pickle.loads(pickle.dumps(error)) if way == "pickle" else copy.copy(error)
    assert type(again) is kind
    assert vars(again) == vars(error)
    assert (again.errno, str(again), again.args) == (error.errno, str(error), error.args)


def test_message_names_the_place_and_the_facts() -> None:
    error = GuardedS3Error(
        "no", bucket="b", key="k", operation="GetObject", status=403, code="Denied", request_id="ID"
    )
    assert str(error) == "no (GetObject b/k, HTTP 403, Denied, request id ID)"
    assert repr(error) == f"GuardedS3Error({str(error)!r})"
    assert error.filename == "b/k"
    assert str(GuardedS3Error("no")) == "no"
    assert GuardedS3Error("no").filename is None


def test_who_knows_a_better_name_may_set_it() -> None:
    """As of every OSError."""
    error = fsspec_guarded_s3.ObjectNotFoundError("not there", bucket="b", key="k")
    error.filename = "gs3://b/k"
    copy = pickle.loads(pickle.dumps(error))
    assert (error.filename, copy.filename, copy.bucket, copy.key) == ("gs3://b/k", "gs3://b/k", "b", "k")
    assert "gs3://b/k" in str(copy)
    error.filename = None
    assert error.filename is None


@pytest.mark.parametrize(
    ("status", "code", "name"),
    [
        (404, "", "ObjectNotFoundError"),
        (404, "NoSuchUpload", "ObjectNotFoundError"),
        (403, "", "AccessDeniedError"),
        (400, "ExpiredToken", "AccessDeniedError"),
        (400, "", "InvalidRequestError"),
        (400, "RequestTimeout", "ServerError"),
        (409, "ConditionalRequestConflict", "ConflictError"),
        (409, "OperationAborted", "ConflictError"),
        (409, "ObjectParentIsFile", "InvalidRequestError"),
        (409, "InvalidBucketState", "InvalidRequestError"),
        (409, "", "InvalidRequestError"),
        (409, "BucketNotEmpty", "DirectoryNotEmptyError"),
        (409, "BucketAlreadyOwnedByYou", "BucketExistsError"),
        (412, "", "PreconditionFailedError"),
        (413, "", "TooLargeError"),
        (416, "InvalidRange", "RangeNotSatisfiableError"),
        (429, "", "ThrottledError"),
        (400, "ThrottlingException", "ThrottledError"),
        (503, "SlowDown", "ThrottledError"),
        (503, "", "ServerError"),
        (500, "NeverHeardOf", "ServerError"),
        (501, "NotImplemented", "OperationNotImplementedError"),
        (501, "", "InvalidRequestError"),
        (301, "PermanentRedirect", "ResponseError"),
        (418, "Teapot", "ResponseError"),
    ],
)
def test_status_and_code_decide_the_class(status: int, code: str, name: str) -> None:
    assert error_class(status, code).__name__ == name


def documented_codes() -> dict[str, int]:
    """The codes that S3's service model documents, with their HTTP status (0 where it names none)."""
    model = botocore.session.get_session().get_service_model("s3")
    text = model.shape_for("Error").members["Code"].documentation
    found: dict[str, int] = {}
    for item in text.split("<i>Code:</i> ")[1:]:
        code = re.match(r"[A-Z]\w+", item)
        status = re.search(r"HTTP Status Code:</i> (\d+)", item)
        if code and len(code[0]) > 2:  # one has its status there, and "N/A" stands for no SOAP code
            found.setdefault(code[0], int(status[1]) if status else 0)
    for name in model.shape_names:
        shape = model.shape_for(name)
        if getattr(shape, "metadata", {}).get("exception"):
            found[name] = shape.metadata.get("error", {}).get("httpStatusCode", 404)
    return found


DOCUMENTED = documented_codes()
PASSING = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"}  # another attempt may succeed


def test_the_documented_codes_are_found() -> None:
    """The test below would hold for none too."""
    assert len(DOCUMENTED) > 80
    assert DOCUMENTED["AccessDenied"] == 403 and DOCUMENTED["NoSuchKey"] == 404


@pytest.mark.parametrize("code", sorted(DOCUMENTED))
def test_every_documented_code_has_its_class_whatever_the_status(code: str) -> None:
    """Complete and the copies answer errors with status 200. What S3 calls 403, 404 and 5xx is that here."""
    kind, status = BY_CODE[code], DOCUMENTED[code]
    assert error_class(200, code) is error_class(status, code) is kind
    assert issubclass(kind, PermissionError) or status not in (401, 403)
    assert issubclass(kind, FileNotFoundError) == (status == 404)
    assert issubclass(kind, (ServerError, ThrottledError)) == (code in PASSING)
    assert kind is not ResponseError or 300 <= status < 400


def test_no_403_is_a_missing_file_and_no_404_a_refusal() -> None:
    for status, code, builtin in ((403, "NeverHeardOf", PermissionError), (404, "", FileNotFoundError)):
        assert issubclass(error_class(status, code), builtin)


def test_404_with_a_code_that_is_unknown_is_neither() -> None:
    assert error_class(404, "NeverHeardOf") is ResponseError


@pytest.mark.parametrize(
    ("said", "operation", "words"),
    [
        (
            "User: arn:aws:iam::1:user/x is not authorized to perform: s3:PutObject on resource: y because "
            "no identity-based policy allows the s3:PutObject action",
            "PutObject",
            "action: allow s3:PutObject in the policies of bucket and credentials",
        ),
        ("not authorized to perform: kms:GenerateDataKey on", "PutObject", "allow kms:GenerateDataKey in"),
        ("Access Denied", "ListObjectsV2", "Access Denied: check s3:ListBucket in the policies"),
        ("Access Denied", "NewOperation", "Access Denied: check this action in the policies"),
    ],
)
def test_the_missing_permission_is_named(said: str, operation: str, words: str) -> None:
    assert words in error_message(403, "AccessDenied", said, operation)


def test_head_is_answered_without_words_and_still_says_what_it_needs() -> None:
    said = "User: u is not authorized to perform: s3:GetObject on resource: r"
    with ScriptedServer([s3_error(403, ""), s3_error(403, "")]) as server:
        with pytest.raises(PermissionError, match="check s3:GetObject, or for a key") as caught:
            filesystem(server.url, max_attempts=1).info("bucket/key")
        assert caught.value.permission == ""  # type: ignore[attr-defined]
    with ScriptedServer([s3_error(403, ""), s3_error(403, "AccessDenied", said)]) as server:
        with pytest.raises(PermissionError, match="allow s3:GetObject in") as caught:
            filesystem(server.url, max_attempts=1).info("bucket/key")
        assert caught.value.permission == "s3:GetObject"  # type: ignore[attr-defined]


def test_message_is_what_the_store_said_and_the_remedy() -> None:
    assert error_message(400, "ExpiredToken", "It expired.").startswith("It expired: ")
    assert "sign in again" in error_message(400, "ExpiredToken", "")
    assert error_message(500, "Odd", "") == "the store failed, without a word"
    assert error_message(400, "", "") == "the store refused, without a word"
    assert error_message(404, "", "", "HeadBucket").startswith("there is no such bucket: check")


def test_no_secret_is_in_an_error_a_repr_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = {"secret": "VERYSECRET", "token": "SESSIONTOKEN"}
    answers = [s3_error(403, "SignatureDoesNotMatch"), close(), s3_error(404, "NoSuchKey")]
    with ScriptedServer(answers) as server:
        fs = filesystem(server.url, key="AKIDKEY", max_attempts=1, **secrets)
        shown = [repr(fs), repr(fs._client), repr(fs._client.options), repr(fs._client.store.signer)]
        for _ in answers:
            with pytest.raises(GuardedS3Error) as caught:
                fs.cat_file("bucket/key")
            error: BaseException | None = caught.value
            shown += [repr(error), str(error), repr(vars(caught.value)), repr(pickle.dumps(error))]
            while (error := error.__context__) is not None:
                shown += [repr(error), str(error)]
        signatures = [request.headers["authorization"].rpartition("=")[2] for request in server.requests]
    everything = "\n".join([*shown, caplog.text])
    assert len(signatures) == 3
    for hidden in (*secrets.values(), *signatures, "AWS4-HMAC"):
        assert hidden not in everything


def test_no_secret_is_in_the_repr_of_a_request() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, token="SESSIONTOKEN")
        from fsspec_guarded_s3._values.models import Request

        wire = fs._client.store.signer.sign(Request("GetObject", "GET", "bucket", "key"))
    assert wire.headers["x-amz-security-token"] == "SESSIONTOKEN"
    assert "SESSIONTOKEN" not in repr(wire)
    assert "Signature" not in repr(wire)
