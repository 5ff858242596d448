"""The table of docs/stores.md says what was kept of the runs, and nothing else."""

import pytest

from fsspec_guarded_s3 import (
    InvalidRequestError,
    OperationNotImplementedError,
    PreconditionUnsupportedError,
    WriteOutcomeUnknownError,
)
from tests.real_stores import table
from tests.real_stores.catalogue import PROGRAMS
from tests.real_stores.checking import CHECKS, Check, No, Outcome, outcome_of
from tests.real_stores.guards import GUARDS, TITLES
from tests.real_stores.place import Place
from tests.real_stores.table import DOCUMENT, Result, document, read, text

PLACE = Place("none", {})


def test_the_document_is_up_to_date() -> None:
    """`python -m tests.real_stores --write` makes it so."""
    found = [read(program.name) for program in PROGRAMS]
    before = DOCUMENT.read_text(encoding="utf-8")
    assert document([result for result in found if result is not None], before) == before


def test_every_store_was_tried_or_is_named_with_the_reason() -> None:
    for program in PROGRAMS:
        result = read(program.name)
        assert result is not None, f"make stores STORE={program.name}"
        assert result.missing or (result.outcomes["guards"] and result.outcomes["surface"])


def test_every_guard_is_held_against_requests_of_boto3() -> None:
    from fsspec_guarded_s3._write.guards import GUARDS as PROBED

    assert set(GUARDS) == set(TITLES) == set(PROBED)


def test_no_two_rows_have_one_title() -> None:
    import tests.real_stores.surface  # noqa: F401

    titles = [checked.title for checked in CHECKS]
    assert len(titles) == len(set(titles)) > 40


def _raising(error: BaseException) -> Check:
    def run(_place: Place) -> None:
        raise error

    return Check("a row", run)


@pytest.mark.parametrize(
    ("error", "word", "reason"),
    [
        (No("it does not"), "no", "it does not"),
        (PreconditionUnsupportedError("x"), "no", "PreconditionUnsupportedError"),
        (InvalidRequestError("x", status=400, code="BadDigest"), "no", "400 BadDigest"),
        (OperationNotImplementedError("x", status=501, code="NotImplemented"), "no", "501 NotImplemented"),
        (InvalidRequestError("of check-0123456789ab"), "no", "of bucket"),
        (WriteOutcomeUnknownError("x"), "no", "WriteOutcomeUnknownError"),
        (AssertionError("other bytes"), "WRONG", "other bytes"),
        (ZeroDivisionError("x"), "WRONG", "ZeroDivisionError"),
    ],
)
def test_what_became_of_a_check(error: BaseException, word: str, reason: str) -> None:
    found = outcome_of(_raising(error), PLACE)
    assert found.word == word
    assert reason in found.reason


def test_a_check_that_returns_is_a_yes_with_its_words() -> None:
    assert outcome_of(Check("a", lambda _: None), PLACE).word == "yes"
    found = outcome_of(Check("a", lambda _: "for small ones"), PLACE)
    assert (found.word, found.reason) == ("yes", "for small ones")


def test_what_was_kept_comes_back(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    rows = {"guards": [Outcome("g", "yes")], "surface": [Outcome("s", "no", "a < b")]}
    Result("one", "One 1", "", rows).write()
    assert read("one") == Result("one", "One 1", "", rows)
    assert read("two") is None


def test_rows_cells_and_reasons() -> None:
    rows = {"guards": [Outcome("g", "yes")], "surface": [Outcome("s", "WRONG", "a < `b`")]}
    ran, other = Result("one", "One 1", "", rows), Result("two", "Two 2", "", {**rows, "surface": []})
    said = text([ran, other, Result("three", "Three 3", "go is not installed", {})])
    assert "| | One 1 | Two 2 |" in said
    assert "| g | yes | yes |" in said
    assert "| s | **WRONG**\\* | - |" in said
    assert "- s: WRONG, a \\< `b`" in said
    assert "**Three 3** was not tried: go is not installed." in said
    assert "Three 3 |" not in said


def test_without_the_marks_nothing_is_written() -> None:
    with pytest.raises(ValueError, match="stores:begin"):
        document([], "no marks")


def test_a_race_that_is_not_lost_this_time_proves_nothing() -> None:
    lost = Outcome("race", "WRONG", "the store is not atomic: 1 of 20 lost")
    rows = [lost, Outcome("bytes", "WRONG", "other bytes"), Outcome("refused", "WRONG", lost.reason)]
    before = Result("one", "One 1", "", {"guards": [], "surface": rows})
    now = [Outcome("race", "yes"), Outcome("bytes", "yes"), Outcome("refused", "no", "not done")]
    again = Result("one", "One 1", "", {"guards": [], "surface": now})
    assert again.with_lost_races_of(before).outcomes["surface"] == [lost, *now[1:]]
    newer = Result("one", "One 2", "", {"guards": [], "surface": now})
    assert newer.with_lost_races_of(before) == newer
