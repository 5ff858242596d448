"""The tests that fail with ours, by the reason: of each project its test ids, without folders.

A test of `GUARDS` asks for what a guard is there to prevent. One of `ON_PURPOSE` asks for something else that
is different here for a reason. docs/s3fs.md has a row for each reason. One of `INTERNALS` looks at, or
replaces, the inside of s3fs or of botocore, which no other filesystem has.
"""

from __future__ import annotations

from collections.abc import Mapping

Reasons = Mapping[str, tuple[str, ...]]

GUARDS: dict[str, Reasons] = {
    "s3fs": {
        "an exception in a `with` publishes nothing": ("test_s3fs.py::test_errors",),
        "misspelt parameters are refused": ("test_s3fs.py::test_get_file_with_kwargs",),
        "`size=` is compared": ("test_s3fs.py::test_with_size",),
        "a reader keeps to the version that was opened": (
            "test_s3fs.py::test_raise_exception_when_file_has_changed_during_reading",
        ),
        "appending needs a store that honours If-Match on Complete, which moto does not": (
            "test_s3fs.py::test_upload_with_s3fs_prefix",
        ),
        "kept rows are copies": (
            "test_s3fs.py::test_info",
            "test_s3fs.py::test_copy_file_without_etag",
        ),
    },
}
ON_PURPOSE: dict[str, Reasons] = {
    "zarr": {
        "a filesystem has coroutines with and without `asynchronous`": (
            "test_fsspec.py::TestFsspecStoreS3::test_init_warns_if_fs_asynchronous_is_false",
        ),
    },
    "dask": {"options that contradict each other are a `ValueError`": ("test_s3.py::test_get_s3",)},
    "s3fs": {
        '`glob("*")` finds buckets': ("test_s3fs.py::test_s3_glob",),
        "URLs are signed by version 4": ("test_s3fs.py::test_url",),
        "`version_id=` needs no `version_aware`": ("test_s3fs.py::test_versions_unaware",),
        "`default_block_size` is another": ("test_s3fs.py::test_change_defaults_only_subsequent",),
        "a slash at the end says directory": ("test_s3fs.py::test_same_name_but_no_exact",),
        "rows of `ls` have `VersionId` with `versions=True` alone": (
            "test_s3fs.py::test_versions_dircached",
        ),
        "`checksum` asks the store": ("test_s3fs.py::test_checksum",),
    },
}
INTERNALS: dict[str, Reasons] = {
    "s3fs": {
        "the settings of the botocore client": (
            "test_s3fs.py::test_config_kwargs",
            "test_s3fs.py::test_config_kwargs_class_attributes_default",
            "test_s3fs.py::test_config_kwargs_class_attributes_override",
            "test_s3fs.py::test_credentials",
        ),
        "a session of aiobotocore, or whether it is closed": (
            "test_s3fs.py::test_user_session_is_preserved",
            "test_s3fs.py::test_set_session_sessions_none",
            "test_s3fs.py::test_set_session_concurrent_no_leak",
            "test_s3fs.py::test_set_session_preserves_injected_session",
            "test_s3fs.py::test_set_session_closed_sessions_rebuilds_once",
            "test_s3fs.py::test_no_connection_sharing_among_processes",
        ),
        "botocore's exceptions, or a client that is replaced": (
            "test_s3fs.py::test_errors_cause_preservings",
            "test_s3fs.py::test_listing_retries_transient_errors",
            "test_s3fs.py::test_requester_pays_makedirs_uses_object_listing",
        ),
        "the buffer, the parts and the upload of a writer": (
            "test_s3fs.py::test_append",
            "test_s3fs.py::test_autocommit_mpu",
            "test_s3fs.py::test_list_del_multipart",
            "test_s3fs.py::test_multipart_upload_blocksize",
            "test_s3fs.py::test_upload_parts",
            "test_s3fs.py::test_upload_part_with_prime_pads",
            "test_s3fs.py::test_write_blocks",
        ),
        "private methods and constants": (
            "test_s3fs.py::test_copy_managed",
            "test_s3fs.py::test_requester_pays",
            "test_s3fs.py::test_requester_pays_per_file_override",
            "test_s3fs.py::test_s3fs_etag_preserving_multipart_copy",
        ),
    },
}
