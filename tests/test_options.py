"""Options: checked once, and frozen; the arithmetic of parts."""

import dataclasses
import inspect
import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._values.s3fs_options import OPTIONS
from fsspec_guarded_s3.options import (
    FSSPEC_OPTIONS,
    MAX_PART_SIZE,
    MAX_PARTS,
    MIB,
    Options,
    OtherOptions,
    part_size_for,
)
from tests import options_table


def test_defaults_are_valid_and_frozen() -> None:
    options = Options.parse({})
    assert options == Options()
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.part_size = 1  # type: ignore[misc]


def test_none_means_the_default_and_fsspecs_options_are_tolerated() -> None:
    given = {"part_size": None, "key": None, "skip_instance_cache": True, "use_listings_cache": False}
    assert Options.parse(given) == Options()


def test_an_integer_is_a_number_of_seconds() -> None:
    assert Options.parse({"read_timeout": 5}).read_timeout == 5


def test_secrets_are_not_in_the_repr() -> None:
    options = Options(key="AKIAKEY", secret="hush-secret", token="hush-token")
    assert not [word for word in ("AKIAKEY", "hush-secret", "hush-token") if word in repr(options)]


def test_secrets_count_for_equality() -> None:
    assert Options(key="a", secret="b") != Options(key="a", secret="c")


@pytest.mark.parametrize(
    "given",
    [
        {"part_size": 5 * MIB},
        {"part_size": 5 * 2**30},
        {"multipart_threshold": 1},
        {"min_rate": 0},
        {"max_attempts": 1},
        {"max_concurrency": 256},
        {"addressing_style": "virtual"},
        {"endpoint_url": "http://127.0.0.1:9000"},
        {"key": "a", "secret": "b", "token": "c"},
        {"anon": True},
    ],
)
def test_values_at_the_edge_are_accepted(given: dict[str, object]) -> None:
    options = Options.parse(given)
    assert {name: getattr(options, name) for name in given} == given


@pytest.mark.parametrize(
    "size", [0, 1, 10_000 * 16 * MIB, 10_000 * 16 * MIB + 1, 10**12, MAX_PARTS * MAX_PART_SIZE]
)
def test_ten_thousand_parts_hold_any_size(size: int) -> None:
    part = part_size_for(size, 16 * MIB)
    assert part * MAX_PARTS >= size
    assert 16 * MIB <= part <= MAX_PART_SIZE
    assert part % MIB == 0


def test_the_part_size_grows_only_when_it_must() -> None:
    assert part_size_for(10_000 * 16 * MIB, 16 * MIB) == 16 * MIB
    assert part_size_for(10_000 * 16 * MIB + 1, 16 * MIB) == 17 * MIB


def test_a_part_size_that_suffices_is_kept_as_given() -> None:
    assert part_size_for(10 * MIB, 5 * MIB + 1) == 5 * MIB + 1


# --- one source: what the signature, the docstring and the document say ---


def test_signature_docstring_and_document_are_written_from_the_options() -> None:
    """Written by `python -m tests.options_table`."""
    assert options_table.document() == options_table.DOCUMENT.read_text()
    assert options_table.facade() == options_table.FACADE.read_text()


def test_the_signature_shows_every_option_with_its_type_and_default() -> None:
    shown = dict(inspect.signature(GuardedS3FileSystem).parameters)
    others = shown.pop("others")
    assert others.kind is inspect.Parameter.VAR_KEYWORD
    fields = {field.name: field for field in dataclasses.fields(Options)}
    assert list(shown) == list(fields)
    assert {item.kind for item in shown.values()} == {inspect.Parameter.KEYWORD_ONLY}
    attributes = fields.pop("s3_additional_kwargs")
    assert not attributes.default and shown.pop(attributes.name).default is None
    assert {name: item.default for name, item in shown.items()} == {
        name: field.default for name, field in fields.items()
    }
    assert {name: item.annotation for name, item in shown.items()} == {
        name: field.type for name, field in fields.items()
    }


def test_help_explains_every_option() -> None:
    text = pydoc.plain(pydoc.render_doc(GuardedS3FileSystem))
    assert not [field.name for field in dataclasses.fields(Options) if f"- {field.name}" not in text]


def test_type_checkers_know_the_names_that_are_taken_beside_the_options() -> None:
    """Of s3fs's names those that something becomes of, and fsspec's own."""
    possible = {name for name, rule in OPTIONS.items() if rule.becomes or rule.values or rule.convert}
    assert set(OtherOptions.__annotations__) == possible | FSSPEC_OPTIONS


def test_a_default_that_is_given_contradicts_another_name_of_the_option() -> None:
    with pytest.raises(ValueError, match="block_size and its namesake of s3fs contradict each other"):
        GuardedS3FileSystem(block_size=5 * MIB, default_block_size=MIB, skip_instance_cache=True)
    fs = GuardedS3FileSystem(default_block_size=MIB, skip_instance_cache=True)
    assert fs.blocksize == MIB


def test_plain_http_that_is_refused_by_name_is_not_allowed_by_another() -> None:
    given: dict[str, Any] = {"endpoint_url": "http://store.example", "use_ssl": False}
    open_to_all = GuardedS3FileSystem(**given, skip_instance_cache=True)
    refused = GuardedS3FileSystem(**given, allow_http=False, skip_instance_cache=True)
    assert (open_to_all._options.allow_http, refused._options.allow_http) == (True, False)


def test_a_subclass_shows_what_it_takes_itself() -> None:
    class Mine(GuardedS3FileSystem):
        def __init__(self, color: str, **more: Any) -> None:
            super().__init__(part_size=8 * MIB, **more)

    assert list(inspect.signature(Mine).parameters) == ["color", "more"]
    fs = Mine("red", range_size=MIB, skip_instance_cache=True)
    assert (fs._options.part_size, fs._options.range_size) == (8 * MIB, MIB)
    assert (fs.storage_args, fs.storage_options) == (("red",), {"range_size": MIB})


@pytest.mark.parametrize("field", dataclasses.fields(Options), ids=lambda field: field.name)
def test_every_option_is_of_its_type(field: "dataclasses.Field[Any]") -> None:
    """Also True where a number is wanted, which Python takes for one."""
    wrong = object() if str(field.type).startswith(("Attributes", "bool")) else True
    with pytest.raises(TypeError, match=f"storage option {field.name} must be"):
        Options(**{field.name: wrong})


@pytest.mark.parametrize("name", ["addressing_style", "probe", "request_checksum_calculation"])
def test_an_option_of_choices_names_them(name: str) -> None:
    with pytest.raises(ValueError, match=rf"storage option {name} must be (one of )?\w+(, \w+)*( or \w+)?$"):
        Options(**{name: "nothing"})


# --- halves, and what is empty ---


@pytest.mark.parametrize(
    "name", ["key", "secret", "profile", "region", "endpoint_url", "ca_bundle", "client_cert"]
)
def test_an_empty_option_is_refused_and_never_taken_for_none(name: str) -> None:
    """With `key=""` another identity would ask; with `client_cert=""` no certificate be shown."""
    given = {"key": "k", "secret": "s", name: ""}
    with pytest.raises(ValueError, match=f"storage option {name} must not be empty"):
        Options.parse(given)


@pytest.mark.parametrize(
    "given",
    [
        {"username": "", "password": "hush-secret"},
        {"username": "k", "password": ""},
        {"client_kwargs": {"aws_access_key_id": "", "aws_secret_access_key": "hush-secret"}},
        {"key": "", "secret": ""},
    ],
)
def test_half_of_the_credentials_is_refused_under_any_name(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must not be empty") as caught:
        Options.parse(given)
    assert "hush" not in str(caught.value)


def test_no_token_is_no_token() -> None:
    assert Options.parse({"key": "k", "secret": "s", "token": ""}).token == ""


@pytest.mark.parametrize("port", ["0", "99999", "abc", "-1", "1 "])
@pytest.mark.parametrize("host", ["store.test", "[::1]", "127.0.0.1"])
def test_a_port_that_is_none_is_told_when_the_filesystem_is_made(host: str, port: str) -> None:
    with pytest.raises(ValueError, match=r"storage option endpoint_url must be .* port of 1 to 65535"):
        Options.parse({"endpoint_url": f"https://{host}:{port}"})


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://", "https:///path", "http://a b", "http://127.0.0.1:9 "]
)
def test_an_endpoint_without_a_host_is_told_when_the_filesystem_is_made(url: str) -> None:
    with pytest.raises(ValueError, match="storage option endpoint_url"):
        Options.parse({"endpoint_url": url})


@pytest.mark.parametrize("url", ["HTTP://127.0.0.1:9", "Https://Store.TEST:443/"])
def test_a_scheme_may_be_written_in_any_case(url: str) -> None:
    assert Options.parse({"endpoint_url": url}).endpoint_url == url
    assert Options.parse({"endpoint_url": "HTTP://store.test", "use_ssl": False}).allow_http


def test_the_file_of_the_document_is_read(tmp_path: Path) -> None:
    """fsspec's files hold text: numbers, switches and JSON are read as what they stand for."""
    page = (Path(__file__).parent.parent / "docs" / "options.md").read_text()
    (block,) = re.findall(r"^```ini\n(.*?)^```$", page, re.S | re.M)
    (tmp_path / "authority.pem").write_bytes(trustme.CA().cert_pem.bytes())
    (tmp_path / "gs3.ini").write_text(block.replace("/etc/ssl/our-ca.pem", str(tmp_path / "authority.pem")))
    code = """
import fsspec

options = fsspec.filesystem("gs3", anon=True)._options
print(options.endpoint_url, options.read_timeout, options.fsync, options.s3_additional_kwargs.names)
"""
    given = {**os.environ, "FSSPEC_CONFIG_DIR": str(tmp_path), "FSSPEC_GS3_READ_TIMEOUT": "61"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "https://s3.example.com 61 True frozenset({'StorageClass'})\n", done.stderr


def test_options_by_position_are_refused_in_words() -> None:
    """s3fs takes them: `S3FileSystem(True)` is anonymous there. No value is shown: it may be a secret."""
    for given in ((True,), (False, "http://127.0.0.1:9", "k", "hush")):
        with pytest.raises(TypeError, match="storage options go by name, such as anon=True") as caught:
            GuardedS3FileSystem(*given)  # type: ignore[misc]
        assert "hush" not in str(caught.value)
