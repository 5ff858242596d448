"""Whose tests are run, of which release, and with what beside them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """Tests of one release of a project.

    `files` lie in its source distribution, or with `package` in that package as it is installed. `chosen` is
    what pytest's -k takes. `plugin` puts our filesystem in the place of theirs. Suites that start no store
    name a `bucket`: they get a store that has it, and its URL for {url} in their `arguments`.
    """

    name: str
    version: str
    files: tuple[str, ...]
    package: str = ""
    chosen: str = ""
    plugin: str = "guarded_as_s3"
    arguments: tuple[str, ...] = ()
    bucket: str = ""

    @property
    def release(self) -> str:
        """What pip installs."""
        return f"{self.name}=={self.version}"


_OF_PANDAS = (
    "test_s3",
    "test_fsspec",
    "test_parquet",
    "excel/test_readers",
    "excel/test_style",
    "json/test_compression",
    "json/test_pandas",
    "parser/test_network",
    "xml/test_to_xml",
    "xml/test_xml",
)
SUITES = (
    Suite(
        "s3fs",
        "2026.9.0",
        ("s3fs/tests/test_s3fs.py", "s3fs/tests/test_mapping.py", "s3fs/tests/derived/s3fs_test.py"),
        plugin="guarded_in_s3fs",
        arguments=("-o", "asyncio_mode=strict"),
    ),
    Suite("universal-pathlib", "0.3.10", ("upath/tests/implementations/test_s3.py",)),
    Suite("dask", "2026.8.0", ("bytes/tests/test_s3.py",), package="dask"),
    Suite(
        "pandas",
        "3.1.1",
        tuple(f"tests/io/{name}.py" for name in _OF_PANDAS),
        package="pandas",
        chosen="s3 and not usecols3 and not s3_permission_output",  # which asks AWS
        # The package has no data files: what needs them is skipped. The plugin goes round in circles there.
        arguments=("--no-strict-data-files", "-p", "no:pytest_lazyfixture"),
    ),
    Suite(
        "pyarrow",
        "26.0.1",
        ("tests/test_fs.py", "tests/test_dataset.py"),
        package="pyarrow",
        chosen="S3FileSystem or s3_fsspec or py_fsspec_s3fs",
    ),
    Suite("zarr", "3.1.6", ("tests/test_store/test_fsspec.py",), arguments=("-o", "addopts=")),
    Suite(
        "pyiceberg",
        "0.12.0",
        ("tests/io/test_fsspec.py",),
        chosen="not adls and not gcs",
        arguments=("-m", "s3", "--s3.endpoint={url}", "--s3.access-key-id=k", "--s3.secret-access-key=s"),
        bucket="warehouse",
    ),
)

# What the tests need beside the projects themselves; released together with them.
BESIDE = (
    "fsspec==2026.9.0",
    "moto[server,s3]==5.2.5",
    "dask[dataframe]==2026.8.0",
    "distributed==2026.8.0",
    "pyiceberg[sql-sqlite,pyiceberg-core]==0.12.0",
    "boto3",
    "pytest",
    "pytest-asyncio",
    "pytest-lazy-fixtures",
    "pytest-mock",
    "pytest-timeout",
    "hypothesis",
    "requests-mock",
    "smbprotocol",
    "openpyxl",
    "lxml",
    "fastavro",
    "tenacity",
)
