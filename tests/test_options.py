"""Options: checked once, and frozen; the arithmetic of parts."""

import dataclasses

import pytest

from fsspec_guarded_s3._options import MAX_PART_SIZE, MAX_PARTS, MIB, Options, part_size_for


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
