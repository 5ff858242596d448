"""Bytes on sockets: connections, TLS, proxies, requests that are sent and responses that are read.

`transport` keeps connections, and makes one exchange on one of them. `connect` makes a connection. `trust`
says which certificates it accepts. `unreachable` says which exception a failed connection becomes. `sending`
and `response` are the two halves of an exchange. `incoming` is the buffer of a connection. `timed_socket`
ends each wait in time. `lanes` limits how many large bodies are under way.

Imported by: `_s3`, and the doctor.
Imports: `options` and the values below it.
Never imports: `_auth` and `_s3`. It knows nothing of buckets and keys.
"""
