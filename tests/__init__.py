"""Tests of fsspec_guarded_s3. A package, so that tests can import the servers from `tests.…`."""
