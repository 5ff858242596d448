"""The storage options of s3fs: each means the same here, or is refused in words that say what to do."""

import inspect
import json
from pathlib import Path
from typing import Any

import botocore
import fsspec
import fsspec.config
import pytest
from botocore.config import Config

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._s3.client import S3Client
from fsspec_guarded_s3._s3.store import Store
from fsspec_guarded_s3._values.conditions import UNCONDITIONAL
from fsspec_guarded_s3._values.paths import S3Path
from fsspec_guarded_s3._values.s3fs_options import CONFIG, OPTIONS
from fsspec_guarded_s3._write.parts import PartBuffer
from fsspec_guarded_s3._write.upload import Upload
from fsspec_guarded_s3.options import FSSPEC_OPTIONS, MIB, Options
from tests.servers import MotoServer

PAIR = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"username": "a", "password": "b"}, {"key": "a", "secret": "b"}),
    ({"client_kwargs": PAIR}, {"key": "a", "secret": "b"}),
    ({"client_kwargs": {**PAIR, "aws_session_token": "c"}}, {"key": "a", "secret": "b", "token": "c"}),
    ({"key": "a", "secret": "b", "client_kwargs": PAIR}, {"key": "a", "secret": "b"}),
    ({"client_kwargs": {"region_name": "eu-west-1"}}, {"region": "eu-west-1"}),
    ({"client_kwargs": {"endpoint_url": "https://s.example"}}, {"endpoint_url": "https://s.example"}),
    ({"client_kwargs": {"verify": "/ca.pem"}}, {"ca_bundle": "/ca.pem"}),
    ({"client_kwargs": {"verify": True, "use_ssl": True}}, {}),
    ({"client_kwargs": None, "config_kwargs": {}}, {}),
    (
        {"use_ssl": False, "endpoint_url": "http://minio:9000"},
        {"endpoint_url": "http://minio:9000", "allow_http": True},
    ),
    (
        {"client_kwargs": {"endpoint_url": "http://minio:9000", "use_ssl": False}},
        {"endpoint_url": "http://minio:9000", "allow_http": True},
    ),
    (
        {"use_ssl": False, "allow_http": False, "endpoint_url": "http://minio:9000"},
        {"endpoint_url": "http://minio:9000"},
    ),
    ({"use_ssl": False, "endpoint_url": "https://s.example"}, {"endpoint_url": "https://s.example"}),
    ({"use_ssl": True, "endpoint_url": "http://minio:9000"}, {"endpoint_url": "http://minio:9000"}),
    ({"default_block_size": MIB, "default_cache_type": "bytes"}, {"block_size": MIB, "cache_type": "bytes"}),
    ({"default_fill_cache": False, "cache_regions": True, "version_aware": False}, {}),
    ({"config_kwargs": {"signature_version": "s3v4"}}, {}),
    ({"config_kwargs": {"signature_version": botocore.UNSIGNED}}, {"anon": True}),
    ({"config_kwargs": {"connect_timeout": 1, "read_timeout": 2}}, {"connect_timeout": 1, "read_timeout": 2}),
    ({"config_kwargs": {"s3": {"addressing_style": "path"}}}, {"addressing_style": "path"}),
    ({"config_kwargs": {"s3": {"use_accelerate_endpoint": True}}}, {"use_accelerate": True}),
    ({"config_kwargs": {"retries": {"max_attempts": 0, "mode": "standard"}}}, {"max_attempts": 1}),
    ({"config_kwargs": {"retries": {"mode": "adaptive"}}}, {}),
    ({"config_kwargs": {"retries": {"total_max_attempts": 3}}}, {"max_attempts": 3}),
    ({"config_kwargs": {"max_pool_connections": 8}}, {"max_concurrency": 8}),
    ({"config_kwargs": {"max_pool_connections": 500}}, {}),
    ({"config_kwargs": {"max_pool_connections": 8}, "max_concurrency": 4}, {"max_concurrency": 4}),
    ({"config_kwargs": {"response_checksum_validation": "when_required"}}, {"verify_checksums": False}),
    (
        {"config_kwargs": {"request_checksum_calculation": "when_required"}},
        {"request_checksum_calculation": "when_required"},
    ),
    (
        {"client_kwargs": {"config": Config(read_timeout=7, s3={"addressing_style": "virtual"})}},
        {"read_timeout": 7, "addressing_style": "virtual"},
    ),
    ({"client_kwargs": {"config": Config()}}, {}),
    ({"max_concurrency": 10, "fixed_upload_size": True}, {"max_concurrency": 10, "fixed_upload_size": True}),
]


@pytest.mark.parametrize("given, ours", SAME)
def test_a_name_of_s3fs_means_the_same(given: dict[str, Any], ours: dict[str, Any]) -> None:
    assert Options.parse(given) == Options(**ours)


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"session": object()}, ValueError, "session is not possible here: pass profile, or key"),
    ({"use_ssl": "no"}, TypeError, "use_ssl must be bool, not str"),
    ({"use_ssl": False}, ValueError, "use_ssl=False is not possible here: pass endpoint_url='http://...'"),
    (
        {"client_kwargs": {"verify": False}},
        ValueError,
        "client_kwargs['verify'] is not possible here: TLS is",
    ),
    ({"client_kwargs": {"regionname": "x"}}, ValueError, "did you mean 'region_name'?"),
    ({"client_kwargs": "x"}, TypeError, "client_kwargs must be a dict, not str"),
    ({"client_kwargs": {"config": {}}}, TypeError, "must be botocore's Config, not dict"),
    ({"config_kwargs": {"signature_version": "s3"}}, ValueError, "Signature Version 4"),
    ({"config_kwargs": {"proxies": {"https": "http://p"}}}, ValueError, "set HTTPS_PROXY"),
    ({"config_kwargs": {"retries": {"mode": "wild"}}}, ValueError, "standard, legacy or adaptive"),
    ({"config_kwargs": {"retries": {"max_attempts": "3"}}}, ValueError, "a whole number of retries"),
    ({"config_kwargs": {"s3": {"us_east_1_regional_endpoint": "legacy"}}}, ValueError, "regional endpoint"),
    ({"config_kwargs": {"user_agent_extra": "x"}}, ValueError, "leave it out"),
    ({"config_kwargs": {"read_timeot": 1}}, ValueError, "did you mean 'read_timeout'?"),
    ({"config_kwargs": {"max_pool_connections": "8"}}, TypeError, "max_concurrency must be int"),
    ({"config_kwargs": {"tcp_keepalive": False}}, ValueError, "always on"),
    ({"default_blok_size": 1}, ValueError, "did you mean 'default_block_size'?"),
    ({"default_block_size": "5MB"}, TypeError, "block_size must be int"),
    ({"default_fill_cache": "no"}, ValueError, "default_fill_cache is not possible"),
    (
        {"region": "eu-west-1", "client_kwargs": {"region_name": "us-east-1"}},
        ValueError,
        "region and its namesake of s3fs contradict each other",
    ),
    ({"key": "a", "secret": "b", "username": "c"}, ValueError, "contradict each other: pass one of them"),
    ({"fixed_upload_size": 1}, TypeError, "fixed_upload_size must be bool"),
]


@pytest.mark.parametrize("given, kind, words", REFUSED)
def test_what_has_no_counterpart_is_refused_with_what_to_do(
    given: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        Options.parse(given)
    assert words in str(caught.value)


def test_a_contradiction_shows_no_secret() -> None:
    with pytest.raises(ValueError, match="contradict") as caught:
        Options.parse({"key": "k", "secret": "hush-one", "password": "hush-two"})
    assert "hush" not in str(caught.value)


def test_every_name_of_s3fss_constructor_is_known() -> None:
    """Of the s3fs that is installed; the names of today are listed for where it is an old one."""
    s3fs = pytest.importorskip("s3fs")
    names = set(inspect.signature(s3fs.S3FileSystem.__init__).parameters) - {"self", "kwargs"}
    names |= {"anon", "endpoint_url", "key", "secret", "token", "use_ssl", "client_kwargs", "version_aware"}
    names |= {"cache_regions", "asynchronous", "loop", "max_concurrency", "fixed_upload_size", "profile"}
    ours = {*Options.__dataclass_fields__, *FSSPEC_OPTIONS, *OPTIONS}
    assert names <= ours | {"requester_pays", "s3_additional_kwargs"}


def test_every_name_of_botocores_config_is_known() -> None:
    assert set(Config.OPTION_DEFAULTS) <= set(CONFIG)


def test_no_name_of_the_table_is_one_of_ours() -> None:
    """It would never be read."""
    assert not {*OPTIONS} & ({*Options.__dataclass_fields__} | FSSPEC_OPTIONS)


def test_storage_options_of_s3fs_open_the_same_store(moto: MotoServer) -> None:
    options: dict[str, Any] = {
        "client_kwargs": {"endpoint_url": moto.url, "region_name": "us-east-1", **PAIR},
        "config_kwargs": {"signature_version": "s3v4", "s3": {"addressing_style": "path"}},
        "use_ssl": False,
        "default_cache_type": "none",
        "default_block_size": 5,
    }
    fs = GuardedS3FileSystem(**options, skip_instance_cache=True)
    fs.mkdir("s3fs-options")
    fs.pipe_file("s3fs-options/key", b"data")
    with fs.open("s3fs-options/key") as file:
        assert (file.read(), file.cache.name, file.blocksize) == (b"data", "none", 5)


def test_secrets_in_s3fss_names_are_not_in_json_without_passwords() -> None:
    given = {"username": "AKIAKEY", "client_kwargs": {"aws_secret_access_key": "hush", "region_name": "here"}}
    fs = GuardedS3FileSystem(**given, skip_instance_cache=True)
    text = fs.to_json(include_password=False)
    assert json.loads(text)["client_kwargs"] == {"region_name": "here"}
    assert "AKIAKEY" not in text


# --- fsspec's configuration ---


@pytest.mark.parametrize("protocol", ["gs3", "guarded-s3"])
def test_environment_variables_of_fsspec_are_options(monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    """FSSPEC_<PROTOCOL>_<OPTION>, and FSSPEC_<PROTOCOL> with JSON; what is passed goes before them."""
    configured: dict[str, Any] = {}
    name = protocol.upper()
    variables = {
        f"FSSPEC_{name}": '{"region": "eu-west-1", "client_kwargs": {"verify": "/ca.pem"}}',
        f"FSSPEC_{name}_PART_SIZE": "8388608",
        f"FSSPEC_{name}_KEY": "12345",
        f"FSSPEC_{name}_SECRET": "hush",
        f"FSSPEC_{name}_MAX_ATTEMPTS": "2",
    }
    fsspec.config.set_conf_env(configured, variables)
    monkeypatch.setitem(fsspec.config.conf, protocol, configured[protocol])
    options = fsspec.filesystem("gs3", max_attempts=3, skip_instance_cache=True)._options
    assert (options.region, options.part_size, options.max_attempts) == ("eu-west-1", 8 * MIB, 3)
    assert (options.key, options.secret, options.ca_bundle) == ("12345", "hush", "/ca.pem")


def test_configuration_files_of_fsspec_are_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its INI files hold text alone, which is read by the type of each option."""
    (tmp_path / "a.ini").write_text(
        "[gs3]\nanon = True\nread_timeout = 2.5\nregion = eu-west-1\ndefault_block_size = 1048576\n"
        'use_listings_cache = false\nconfig_kwargs = {"s3": {"addressing_style": "path"}}\n'
    )
    configured: dict[str, Any] = {}
    fsspec.config.set_conf_files(str(tmp_path), configured)
    monkeypatch.setitem(fsspec.config.conf, "gs3", configured["gs3"])
    fs = fsspec.filesystem("gs3", skip_instance_cache=True)
    options = fs._options
    assert (options.anon, options.read_timeout, options.region) == (True, 2.5, "eu-west-1")
    assert (options.block_size, options.addressing_style) == (MIB, "path")
    assert fs.dircache.use_listings_cache is False


def test_text_that_is_passed_is_not_taken_for_a_number() -> None:
    with pytest.raises(TypeError, match="part_size must be int, not str"):
        GuardedS3FileSystem(part_size="8388608", skip_instance_cache=True)


# --- block sizes and caches ---


@pytest.mark.parametrize(
    "size, kind", [(5 * MIB - 1, ValueError), (5 * 2**30 + 1, ValueError), ("6MB", TypeError)]
)
def test_a_writer_whose_block_size_is_no_part_size_is_refused(
    moto: MotoServer, size: Any, kind: type[Exception]
) -> None:
    fs = GuardedS3FileSystem(endpoint_url=moto.url, key="k", secret="s", skip_instance_cache=True)
    with pytest.raises(kind, match="block_size"):
        fs.open("bucket/key", "wb", block_size=size)


def test_the_block_size_of_a_writer_is_its_part_size(moto: MotoServer) -> None:
    fs = GuardedS3FileSystem(
        endpoint_url=moto.url, key="k", secret="s", multipart_threshold=5 * MIB, skip_instance_cache=True
    )
    fs.mkdir("block-size")
    with fs.open("block-size/key", "wb", block_size=6 * MIB) as file:
        file.write(bytes(13 * MIB))
    assert fs.info("block-size/key")["ETag"].endswith('-3"')


def test_parts_of_a_stream_grow_unless_all_must_be_of_one_size() -> None:
    def size(**options: Any) -> int:
        chosen = Options(endpoint_url="http://localhost", **options)
        upload = Upload(S3Client(Store(chosen)), S3Path("bucket", "key"), UNCONDITIONAL)
        buffer = PartBuffer(upload, chosen)
        buffer.follow(2000)
        return buffer._part_size()

    assert (size(fixed_upload_size=True), size(dialect="r2"), size()) == (16 * MIB, 16 * MIB, 256 * MIB)


def test_an_unknown_cache_is_refused_where_it_is_named(moto: MotoServer) -> None:
    with pytest.raises(ValueError, match=r"cache_type must be one of .*readahead.*, not 'readahed'"):
        GuardedS3FileSystem(cache_type="readahed", skip_instance_cache=True)
