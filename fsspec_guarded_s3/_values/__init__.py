"""Values that every folder may use, and checks of values.

`paths`, `models` (requests and answers), `conditions`, `bodies`, `buffers` (that are read into), `checksums`,
`deadline`. `local_files` are
read, written and named in the way of each system, `local_names` says which keys can be such files,
`descriptors` what happens where no more can be opened.
`dialects` has what Cloudflare R2 and Google Cloud Storage call otherwise.
The attributes of an object are in `attributes`, with `attribute_values`, `s3_parameters` and
`answer_fields`. `parameters` has the keywords of the verbs for type checkers, `annotations` names that old
Pythons do not have. `keywords` refuses wrong keywords, `s3fs_options` has s3fs's names of options,
`guessed_options` those of other libraries. `surroundings` is another value when AWS's settings have changed.
`fsspec_rules` are fsspec's for paths and patterns, `private_parts` says which part of a library is gone.
`tracebacks` keeps those of our errors short. `sizes` shows numbers of bytes to people.
A value is frozen, or can be read again from its start.
Nothing here waits for a network.

Imported by: every folder, and `options`.
Imports: `errors`, `_work` and `_forks`.
Never imports: any other folder, and `options`.
"""
