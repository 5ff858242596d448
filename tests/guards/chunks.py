"""Bodies in the `aws-chunked` encoding, which the AWS SDK under pyarrow sends and the fake store refuses.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

from dataclasses import replace

from tests.scripted_server import Headers, Request


def unchunked(request: Request) -> Request:
    """The request as it would be without that encoding; its trailing checksum is not looked at."""
    coding = request.headers.get("content-encoding", "")
    if not coding.startswith("aws-chunked"):
        return request
    body, rest = bytearray(), request.body
    while rest:
        head, _, rest = rest.partition(b"\r\n")
        size = int(head.split(b";")[0], 16)
        if size == 0:
            break
        body += rest[:size]
        rest = rest[size + 2 :]
    kept = [(name, text) for name, text in request.headers.items() if name != "content-encoding"]
    return replace(request, body=bytes(body), headers=Headers(kept))
