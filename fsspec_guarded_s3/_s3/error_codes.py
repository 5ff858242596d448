"""An answer of S3 -> the exception that it becomes, and what to do about it.

Codes go before the status, because an error can come with status 200 (CompleteMultipartUpload, CopyObject).
Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, S3's service model, and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html for the permissions.
"""

from __future__ import annotations

import re

from ..errors import (
    AccessDeniedError,
    BucketExistsError,
    ConflictError,
    DirectoryNotEmptyError,
    InvalidRequestError,
    ObjectNotFoundError,
    OperationNotImplementedError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    ResponseError,
    ServerError,
    ThrottledError,
    TooLargeError,
)

_CODES: dict[type[ResponseError], str] = {
    AccessDeniedError: """
        AccessDenied AccessPointNotOwnedByYou AccountProblem AllAccessDisabled CredentialsNotSupported
        CrossLocationLoggingProhibited ExpiredToken ExpiredTokenException InvalidAccessKeyId
        InvalidObjectState InvalidPayer InvalidSecurity InvalidToken MissingSecurityElement
        MissingSecurityHeader NotSignedUp ObjectAlreadyInActiveTierError ObjectNotInActiveTierError
        RequestExpired RequestTimeTooSkewed SignatureDoesNotMatch TokenCodeInvalidError TokenRefreshRequired
        UnauthorizedAccess UnauthorizedAccessError XAdminUserNotFound""",
    BucketExistsError: "BucketAlreadyExists BucketAlreadyOwnedByYou",
    # Conflicts that pass. Any other 409 is definite: versitygw's ObjectParentIsFile, say.
    ConflictError: "ConditionalRequestConflict OperationAborted RestoreAlreadyInProgress",
    DirectoryNotEmptyError: "BucketNotEmpty",
    InvalidRequestError: """
        AccessControlListNotSupported AmbiguousGrantByEmailAddress AnnotationLimitExceeded
        AnnotationNameTooLong AuthorizationHeaderMalformed AuthorizationQueryParametersError BadDigest
        EncryptionTypeMismatch EntityTooSmall IdempotencyParameterMismatch IllegalLocationConstraintException
        IllegalVersioningConfigurationException IncompleteBody IncorrectEndpoint
        IncorrectNumberOfFilesInPostRequest InvalidAccessPoint InvalidAccessPointAliasError
        InvalidAddressingHeader InvalidAnnotationName InvalidArgument InvalidBucketAclWithObjectOwnership
        InvalidBucketName InvalidBucketOwnerAWSAccountID InvalidBucketState InvalidDigest
        InvalidEncryptionAlgorithmError
        InvalidHostHeader InvalidHttpMethod InvalidLocationConstraint InvalidPart InvalidPartOrder
        InvalidPolicyDocument InvalidPrefix InvalidRegion InvalidRequest InvalidSessionException
        InvalidSignature InvalidSOAPRequest InvalidStorageClass InvalidTag InvalidTargetBucketForLogging
        InvalidURI KeyTooLongError KMS.DisabledException KMS.InvalidKeyUsageException
        KMS.KMSInvalidStateException KMS.NotFoundException MalformedACLError MalformedPolicy
        MalformedPOSTRequest MalformedXML MethodNotAllowed MissingAttachment MissingAuthenticationToken
        MissingContentLength MissingRequestBodyError NoLoggingStatusForKey
        RequestIsNotMultiPartContent
        RequestTorrentOfBucketError TooManyAccessPoints TooManyBuckets TooManyParts UnexpectedContent
        UnresolvableGrantByEmailAddress UnsupportedArgument UnsupportedMediaType UnsupportedSignature
        UserKeyMustBeSpecified XAmzContentChecksumMismatch XAmzContentSHA256Mismatch""",
    OperationNotImplementedError: "NotImplemented",
    ObjectNotFoundError: """
        NoSuchAccessPoint NoSuchAnnotation NoSuchBucket NoSuchBucketPolicy NoSuchConfiguration
        NoSuchCORSConfiguration NoSuchKey NoSuchLifecycleConfiguration NoSuchMultiRegionAccessPoint
        NoSuchObjectLockConfiguration NoSuchPublicAccessBlockConfiguration NoSuchTagSet NoSuchUpload
        NoSuchObject NoSuchVersion NoSuchWebsiteConfiguration NotFound ObjectLockConfigurationNotFoundError
        OwnershipControlsNotFoundError ReplicationConfigurationNotFoundError
        ServerSideEncryptionConfigurationNotFoundError""",
    # The offset of an append is a condition on the size of what is there.
    PreconditionFailedError: "InvalidWriteOffset PreconditionFailed",
    RangeNotSatisfiableError: "InvalidRange",
    ResponseError: "NotModified PermanentRedirect Redirect TemporaryRedirect",  # followed where it can be
    ServerError: "Busy InternalError InternalServerError RequestTimeout ServiceUnavailable",
    ThrottledError: """
        BandwidthLimitExceeded RequestLimitExceeded RequestThrottled SlowDown SlowDownRead SlowDownWrite
        Throttling ThrottlingException TooManyRequests TooManyRequestsException""",  # two are of MinIO
    TooLargeError: """
        EntityTooLarge InlineDataTooLarge MaxMessageLengthExceeded MaxPostPreDataLengthExceededError
        MetadataTooLarge RequestHeaderSectionTooLarge""",
}
BY_CODE: dict[str, type[ResponseError]] = {
    code: kind for kind, codes in _CODES.items() for code in codes.split()
}
# What arrived is not what its checksum says; MinIO has a code of its own.
OTHER_BYTES = frozenset({"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"})

_BY_STATUS: dict[int, type[ResponseError]] = {
    400: InvalidRequestError,
    401: AccessDeniedError,
    403: AccessDeniedError,
    405: InvalidRequestError,
    408: ServerError,  # the request did not arrive in time: RFC 9110, 15.5.9 allows to repeat it
    409: InvalidRequestError,
    411: InvalidRequestError,
    412: PreconditionFailedError,
    413: TooLargeError,
    415: InvalidRequestError,
    416: RangeNotSatisfiableError,
    429: ThrottledError,
    501: InvalidRequestError,  # definite: no attempt would fare better
}

_ARCHIVED = "the object is archived: restore it before reading"
_REGION = "the bucket is in another region: set region"
_KMS = "the KMS key of the object cannot be used: check the key, or name another by SSEKMSKeyId"
_SIGN_IN = "the session token has expired: sign in again or pass fresh key, secret and token"
_REMEDIES: dict[str, str] = {
    "AccessControlListNotSupported": "the bucket has ACLs switched off: leave ACL out, use policies",
    "AuthorizationHeaderMalformed": _REGION,
    "BadDigest": "the bytes were changed on their way: try again, and look at proxies between",
    "EntityTooLarge": "a single PUT holds 5 GiB; larger objects need a multipart upload",
    "EntityTooSmall": "every part but the last needs 5 MiB: raise part_size",
    "ExpiredToken": _SIGN_IN,
    "ExpiredTokenException": _SIGN_IN,
    "IllegalLocationConstraintException": "set region to the one that the bucket is to be in",
    "InvalidAccessKeyId": "the access key is unknown here: check key, profile and endpoint_url",
    "XAdminUserNotFound": "the access key is unknown here: check key, profile and endpoint_url",
    "InvalidLocationConstraint": "set region to the one that the bucket is to be in",
    "InvalidObjectState": _ARCHIVED,
    "InvalidPayer": "the payer's account cannot be charged: check it, and requester_pays",
    "InvalidStorageClass": "the store has no such storage class: check StorageClass",
    "InvalidTag": "tags have letters, digits, spaces and + - = . _ : / @, each name once",
    "InvalidToken": "the session token does not belong to the access key: check token",
    "KMS.DisabledException": _KMS,
    "KMS.InvalidKeyUsageException": _KMS,
    "KMS.KMSInvalidStateException": _KMS,
    "KMS.NotFoundException": _KMS + "; a copy to another region needs a key of that region",
    "MetadataTooLarge": "S3 holds 2 KB of metadata, of which a guarded write takes 47 bytes for its token",
    "MethodNotAllowed": "the version is a delete marker, or the store does not have this operation",
    "NoSuchBucket": "check the bucket's name; buckets are created by mkdir only",
    "NoSuchUpload": "it was completed or aborted",
    "NotImplemented": "the store does not have this operation, or a header of it",
    "ObjectNotInActiveTierError": _ARCHIVED,
    "PermanentRedirect": _REGION,
    "RequestTimeTooSkewed": "the clock of this machine is off: correct it",
    "SignatureDoesNotMatch": "the secret does not belong to the access key, or a proxy changed the request",
    "SlowDown": "ask for less at a time, or spread keys over prefixes",
    "TemporaryRedirect": "the bucket is new and its name not known everywhere yet: set region, or wait",
    "TooManyBuckets": "the account has all the buckets that it may have: remove one, or ask for more",
}

# Where S3 does not name the permission: to HeadObject it never says anything.
_PERMISSIONS: dict[str, str] = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CopyObject": "s3:PutObject on the target, s3:GetObject and s3:GetObjectTagging on the source",
    "CreateBucket": "s3:CreateBucket",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteBucket": "s3:DeleteBucket",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
    "GetBucketLocation": "s3:GetBucketLocation",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetObject": "s3:GetObject, or for a key that is not there s3:ListBucket",
    "DeleteObjectAnnotation": "s3:DeleteObjectAnnotation",
    "GetObjectAnnotation": "s3:GetObjectAnnotation",
    "ListObjectAnnotations": "s3:ListObjectAnnotations",
    "PutObjectAnnotation": "s3:PutObjectAnnotation",
    "GetObjectAttributes": "s3:GetObject and s3:GetObjectAttributes",
    "GetObjectTagging": "s3:GetObjectTagging",
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject, or for a key that is not there s3:ListBucket",
    "ListBuckets": "s3:ListAllMyBuckets",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListObjectsV2": "s3:ListBucket",
    "ListParts": "s3:ListMultipartUploadParts",
    "DeleteObjectTagging": "s3:DeleteObjectTagging",
    "PutBucketAcl": "s3:PutBucketAcl",
    "PutBucketVersioning": "s3:PutBucketVersioning",
    "PutObject": "s3:PutObject, and for tags, ACL or lock s3:PutObjectTagging, s3:PutObjectAcl ...",
    "PutObjectAcl": "s3:PutObjectAcl",
    "PutObjectTagging": "s3:PutObjectTagging",
    "RenameObject": "s3express:CreateSession with a session for writing",
    "UploadPart": "s3:PutObject",
    "UploadPartCopy": "s3:PutObject on the target and s3:GetObject on the source",
}
# Answers to HEAD have no body that could say more. Status and code are told beside these words.
_WORDS: dict[int, str] = {
    301: f"redirected: {_REGION}, and look at endpoint_url",
    307: f"redirected: {_REGION}, and look at endpoint_url",
    403: "access denied",
    404: "not found",
    412: "a condition does not hold",
}
_NOT_AUTHORIZED = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z*]+)")


def error_class(status: int, code: str) -> type[ResponseError]:
    """The exception class for an HTTP `status` and an S3 error `code` ("" when there was no body)."""
    by_code = BY_CODE.get(code)
    if by_code is not None:
        return by_code
    if "Throttl" in code:
        return ThrottledError
    if status == 404 and not code:
        # An answer to HEAD has no code. One that is unknown may speak of a user or of a page.
        return ObjectNotFoundError
    return _BY_STATUS.get(status, ServerError if status >= 500 else ResponseError)


def missing_permission(message: str) -> str:
    """The IAM action that was missing, where S3's message names it."""
    found = _NOT_AUTHORIZED.search(message)
    return found[1] if found else ""


def error_message(status: int, code: str, message: str, operation: str = "") -> str:
    """What to tell the user: S3's own sentence, and the remedy where there is one."""
    text = message.strip().rstrip(".")
    if status == 404 and not code and operation == "HeadBucket":
        code, text = "NoSuchBucket", "there is no such bucket"
    remedy = _REMEDIES.get(code, "")
    if code == "AccessDenied" or (status == 403 and not code):
        named = missing_permission(message)
        needed = named or _PERMISSIONS.get(operation) or "this action"
        remedy = f"{'allow' if named else 'check'} {needed} in the policies of bucket and credentials"
    if not text and not (code and remedy):
        text = _WORDS.get(status, f"the store {'failed' if status >= 500 else 'refused'}, without a word")
    return ": ".join(filter(None, (text, remedy)))


def without_remedy(code: str, message: str) -> str:
    """What `error_message` made, without what it says to do."""
    return message.removesuffix(f": {_REMEDIES[code]}") if code in _REMEDIES else message
