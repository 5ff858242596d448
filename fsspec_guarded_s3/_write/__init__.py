"""From bytes to an object: writers, uploads and their outcome.

`upload` is the state machine of one write, `outcome` settles whether a request was applied whose answer was
lost. `sources`, `parts`, `resume` and `spool` feed it; `writer` is the file object, `endings` tells what an
exception means for it. `guards` and `trials` find out which conditions a store honours. `aborting` ends
uploads that nobody wants.

Invariant: nothing half-written is published, and no answer is guessed.

Imported by: `_fs`, `filesystem`, and the command line.
Imports: `_s3`, and the values below it.
Never imports: `_fs`, `_read`, `_auth`, `_http`.
"""
