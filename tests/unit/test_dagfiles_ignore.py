"""Ignore rules: the globs of `.orchignore` mean what those of gitignore mean."""

import pytest

from orch.dagfiles.ignore import IgnoreRules, is_ignored


def ignored(text: str, path: str, *, is_folder: bool = False) -> bool:
    return is_ignored(path, [IgnoreRules.parse(text)], is_folder=is_folder)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("old.py", "old.py"),
        ("old.py", "team/old.py"),
        ("*_test.py", "team/load_test.py"),
        ("/old.py", "old.py"),
        ("team/*.py", "team/etl.py"),
        ("**/lib/x.py", "lib/x.py"),
        ("**/lib/x.py", "a/b/lib/x.py"),
        ("team/**", "team/a/b.py"),
        ("a/**/z.py", "a/z.py"),
        ("a/**/z.py", "a/b/c/z.py"),
        ("dag_?.py", "dag_1.py"),
        ("dag_[0-9].py", "dag_7.py"),
        ("dag_[!0-9].py", "dag_x.py"),
        (r"\#odd.py", "#odd.py"),
        (r"\!odd.py", "!odd.py"),
        ("[z-a].py", "[z-a].py"),
        ("two words.py", "two words.py"),
    ],
)
def test_glob_matches(glob: str, path: str) -> None:
    assert ignored(glob, path)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("/old.py", "team/old.py"),
        ("team/*.py", "team/sub/etl.py"),
        ("*.py", "etl.txt"),
        ("dag_[!0-9].py", "dag_7.py"),
        ("dag_?.py", "dag_/.py"),
        ("# old.py", "old.py"),
        ("", "old.py"),
        ("/", "old.py"),
        ("o", "old.py"),
    ],
)
def test_glob_does_not_match(glob: str, path: str) -> None:
    assert not ignored(glob, path)


def test_glob_with_final_slash_means_folders_only() -> None:
    assert ignored("lib/", "lib", is_folder=True)
    assert not ignored("lib/", "lib", is_folder=False)


def test_last_matching_line_wins() -> None:
    assert not ignored("*.py\n!keep.py", "keep.py")
    assert ignored("!keep.py\n*.py", "keep.py")


def test_inner_file_overrules_the_outer_one() -> None:
    outer, inner = IgnoreRules.parse("*.py"), IgnoreRules.parse("!keep.py", base="team")
    assert not is_ignored("team/keep.py", [outer, inner], is_folder=False)
    assert is_ignored("team/drop.py", [outer, inner], is_folder=False)


def test_anchored_glob_counts_from_the_folder_of_its_file() -> None:
    rules = [IgnoreRules.parse("/old.py", base="team")]
    assert is_ignored("team/old.py", rules, is_folder=False)
    assert not is_ignored("team/sub/old.py", rules, is_folder=False)
