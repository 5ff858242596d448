"""Classes for other libraries.

`upath` has the class for universal_pathlib, which finds it by an entry point; `zarr` has a store for zarr 3,
`pyiceberg` a FileIO, `duckdb` a filesystem for it, `otel` the spans and metrics of OpenTelemetry.
Most modules here cannot be imported without their library, so nothing else in this package imports them.

`commit` needs no library: many objects that change together. Its parts are `commit_table`,
`commit_transaction`, `commit_manifest`, `commit_snapshot` and `commit_vacuum`, `commit_log`,
`commit_pointer`, and `commit_records`, what their objects hold.

Imported by: those libraries, and their users.
Imports: `filesystem` and the values below it.
Never imports: `_s3`, `_auth`, `_http` and the command line.
"""
