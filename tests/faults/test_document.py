"""docs/faults.md says what the tests test."""

from tests.faults.render import DOCUMENT, document


def test_document_is_up_to_date() -> None:
    """Otherwise: python -m tests.faults"""
    assert DOCUMENT.read_text(encoding="utf-8") == document()
