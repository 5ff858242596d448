"""What a verb of fsspec means: which objects it concerns, in which order, and what it returns.

- Names: `path_rules`, `directories`, `patterns`, `selection`, `placement`, `lookalikes`. Begin with
  `selection`.
- Listings: `listing` (one directory), `trees`, `named_tree`, `listing_stream` (all below it), `versions`,
  `listing_cache`, `listed_names`, `rows`. What callers ask about one name: `lookups`, with `recent_rows`,
  `recent_directories` and `known_row`.
- Content: `opening`, `content_reader`, `content_writer`, `downloads`, `uploads`, `transaction`, `mapping`.
- Copies: `copy_many`, `copy_listed`, `copy_object`, `copy_version`, `copy_in_parts`, `merging`. Moves
  by one request: `renaming`. Deletes: `removal`, `delete_batches`, `exact_delete`, `kept_directories`. Many
  at a time: `gathering`, `transfer`.
- Event loops: `awaiting` (who makes the calls), `turns`, `loop_connections`, `coroutines`, `async_files`.
- The rest: `metadata`, `object_annotations`, `object_headers`, `conditions`, `buckets`, `stale_uploads`,
  `signed_urls`, `posted_forms`, `s3fs_names`, `s3fs_session`, `inherited_verbs`.

A module here sends nothing itself: it calls the client for one request, and `_read` and `_write` for content.

Imported by: `filesystem`, and the command line.
Imports: `_read`, `_write`, `_s3`, and the values below them.
Never imports: `_auth`, `_http`, XML, headers and the retry policy.
"""
