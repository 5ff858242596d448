"""From bytes to an object: writers, uploads and their outcome.

`upload` is the state machine of one write, and sends its parts; `beginning` starts it. `outcome` finds
out whether a request was applied when its answer was lost; `append_outcome` does so for appends, which
`appending` has the store make. `sources` and `source_file`, `parts` and `spool`, and `resume` feed an
upload. `writer` is the file object, which sends while it is written, or has its
bytes in a local file, `local_contents`, where it seeks; `seekable` reads them too. `text_writer` and
`compressed_writer` are around it, `small_writes` in it; `endings` says what an exception means for it.
`guards` and `trials` find out which conditions a store honours, on `temporary_objects`, and `races` whether
they hold between writers that come at once. `setting` changes tags, ACLs and versioning; `dropped` finds out
what the store dropped. `aborting` ends unwanted uploads.

Invariant: nothing half-written is published, and no answer is guessed.

Imported by: `_fs`, `filesystem`, and the command line.
Imports: `_s3`, and the values below it.
Never imports: `_fs`, `_read`, `_auth`, `_http`.
"""
