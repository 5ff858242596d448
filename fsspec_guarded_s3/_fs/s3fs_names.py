"""Methods and attributes of s3fs that are not here, and what to use instead. docs/s3fs.md says the same."""

from __future__ import annotations

INSTEAD: dict[str, str] = {
    "call_s3": "there is no botocore client inside: use boto3 beside it for operations that no method has",
    "connect_timeout": "the option connect_timeout",
    "disable_throttling": "the option max_concurrency is the upper bound",
    "get_s3": "there is no botocore client inside",
    "read_timeout": "the option read_timeout",
    "retries": "the option max_attempts",
    "s3": "there is no botocore client inside",
}
_NO_COROUTINE = "it has no coroutine: await asyncio.to_thread(fs.{verb}, ...)"


def no_attribute(owner: object, name: str) -> AttributeError:
    """The error about an attribute that `owner` has not."""
    instead = INSTEAD.get(name.removeprefix("_"))
    if name[:1] == "_" and callable(getattr(type(owner), name[1:], None)):
        instead = _NO_COROUTINE.format(verb=name[1:])
    text = f"{type(owner).__name__!r} object has no attribute {name!r}" + (f": {instead}" if instead else "")
    return AttributeError(text, name=name, obj=owner)
