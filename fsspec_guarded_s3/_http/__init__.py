"""Bytes on sockets: connections, TLS, proxies, requests that are sent and responses that are read.

`transport` makes one exchange on a connection, which `pool` keeps for the next. `connect` makes one, with
`nested_tls` where TLS goes through the TLS of a proxy, `connecting` does so for an event loop. `plain` is
urllib3's own exchange, for the day when that needs a part of urllib3 that is not what it was. `readiness`
waits for a socket. `trust` says which certificates are accepted. `unreachable` says which exception a
failed connection becomes. `sending` and `response` are the two halves of an exchange. `incoming` is the
buffer of a connection. `timed_socket` ends each wait in time, by a `pace`. `lanes` limits how many large
bodies are under way, `descriptors` how many calls where a process may have few file descriptors.

Imported by: `_s3`, and the doctor.
Imports: `options` and the values below it.
Never imports: `_auth` and `_s3`. It knows nothing of buckets and keys.
"""
