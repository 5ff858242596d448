"""Classes for other libraries.

`upath` has the class for universal_pathlib, which finds it by an entry point; `zarr` has a store for zarr 3,
`pyiceberg` a FileIO, `duckdb` a filesystem for it, `otel` the spans and metrics of OpenTelemetry.
Most modules here cannot be imported without their library, so nothing else in this package imports them.

Imported by: those libraries, and their users.
Imports: `filesystem` and the values below it.
Never imports: `_s3`, `_auth`, `_http` and the command line.
"""
