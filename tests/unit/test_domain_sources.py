"""Sources: names of stored code that do not depend on the order in which it was found."""

from hypothesis import given
from hypothesis import strategies as st

from orch.domain.sources import PinRule, blobs_of, bundle_text, content_hash, digest_text, fits

PATHS = st.dictionaries(st.text(min_size=1), st.text())


@given(PATHS)
def test_the_order_of_the_files_does_not_matter(files: dict[str, str]) -> None:
    turned = dict(reversed(files.items()))
    assert (content_hash(turned), bundle_text(turned)) == (content_hash(files), bundle_text(files))


def test_path_and_content_both_count() -> None:
    hashes = {content_hash(each) for each in ({"a": "1"}, {"b": "1"}, {"a": "2"}, {"a": "1", "b": "1"})}
    assert len(hashes) == 4


def test_sources_fit_a_folder_that_has_them_and_lacks_what_was_missing() -> None:
    folder = {"a.py": "1", "b.py": "2"}
    assert fits({"a.py": "1"}, folder)
    assert fits({"a.py": "1", "c.py": "missing"}, folder)
    assert not fits({"a.py": "2"}, folder)
    assert not fits({"a.py": "1", "b.py": "missing"}, folder)
    assert not fits({"c.py": "1"}, folder)


def test_an_alias_needs_no_content() -> None:
    assert blobs_of({"a.py": digest_text("1"), "b": "alias:c"}) == {digest_text("1")}


def test_python_files_are_pinned_also_when_they_are_large_and_others_by_ending_and_size() -> None:
    rule = PinRule((".sql",), 100)
    covered = {
        (name, size): rule.covers(name, size) for name in ("a.py", "a.sql", "a.csv") for size in (100, 101)
    }
    assert [key for key, is_covered in covered.items() if is_covered] == [
        ("a.py", 100), ("a.py", 101), ("a.sql", 100),
    ]  # fmt: skip
    assert not rule.covers("a.py", 1 << 30)
