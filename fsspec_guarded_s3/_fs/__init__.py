"""What a verb of fsspec means: which objects it concerns, in which order, and what it returns.

Directories, globs and trees; copies, moves and deletes; versions, metadata, buckets; opening files;
transactions. A module here speaks of paths, objects and listings. It sends nothing itself: it calls the
client for one request, and `_read` and `_write` for content.

Imported by: `filesystem`, and the command line.
Imports: `_read`, `_write`, `_s3`, and the values below them.
Never imports: `_auth`, `_http`, XML, headers and the retry policy.
"""
