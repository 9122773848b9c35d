"""The table of what is covered tells the truth."""

from tests.contract.coverage import DOCUMENT, text


def test_the_document_is_current() -> None:
    made = DOCUMENT.read_text(encoding="utf-8")
    assert made == text(), "run python -m tests.contract.coverage"
