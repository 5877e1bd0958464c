"""Reasons: each code is used by the code, asserted by a test, and written as people can act on it."""

from pathlib import Path

import pytest

from orch.domain.reasons import REASONS

ROOT = Path(__file__).parents[2]
SOURCES = [p for p in (ROOT / "core" / "src" / "orch").rglob("*.py") if p.name != "reasons.py"]
TESTS = [p for p in (ROOT / "tests").rglob("test_*.py") if p.name != "test_reasons.py"]


def mentions(files: list[Path], code: str) -> bool:
    return any(f'"{code}"' in path.read_text() for path in files)


@pytest.mark.parametrize("code", sorted(REASONS))
def test_a_code_is_made_somewhere_and_asserted_by_a_test(code):
    assert mentions(SOURCES, code), "nothing makes this code"
    assert mentions(TESTS, code), "no test asserts this code"


@pytest.mark.parametrize("code", sorted(REASONS))
def test_a_reason_has_a_sentence_and_a_remedy(code):
    text = REASONS[code]
    assert text.sentence.endswith(".")
    assert text.remedy.endswith(".")
