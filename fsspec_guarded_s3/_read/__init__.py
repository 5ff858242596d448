"""From an object to bytes: downloads, file objects for reading, their caches.

Invariant: all bytes that one reader or one download returns are of one version, which its first answer names
(a pin). `download` fetches ranges in parallel. `ranges` plans which of them one request brings,
`into_buffers` reads them into memory of the caller. `reader` is
the file object, with the caches `read_ahead` and `block_cache`; `pinned_file` is what it knows of its
version. `arriving` is a range whose bytes can be read as they come, `held` what has come of a small file.
`target_file` is the local file that a download writes.

Imported by: `_fs`, `filesystem`, and the command line.
Imports: `_s3`, and the values below it.
Never imports: `_fs`, `_write`, `_auth`, `_http`.
"""
