"""Ignore rules: the `.orchignore` file of a folder, with the globs of gitignore."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

IGNORE_FILE = ".orchignore"


@dataclass(frozen=True, slots=True)
class IgnoreRule:
    """One line: what it matches, and whether it ignores or takes back (`!`)."""

    pattern: re.Pattern[str]
    ignores: bool
    folders_only: bool


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules of one ignore file; they speak of paths below its folder."""

    base: str
    """The folder of the ignore file, relative to the dags folder: `` or `team/etl`."""
    rules: tuple[IgnoreRule, ...]

    @classmethod
    def parse(cls, text: str, base: str = "") -> "IgnoreRules":
        """Read the lines of an ignore file; empty lines and comments (`#`) mean nothing."""
        rules = (_rule(line) for line in text.splitlines())
        return cls(base, tuple(rule for rule in rules if rule is not None))

    def verdict(self, path: str, *, is_folder: bool) -> bool | None:
        """Return whether `path` is ignored by the last rule that matches it, or None when none does."""
        below = path.removeprefix(f"{self.base}/") if self.base else path
        for rule in reversed(self.rules):
            if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(below):
                return rule.ignores
        return None


def is_ignored(path: str, chain: Sequence[IgnoreRules], *, is_folder: bool) -> bool:
    """Return the verdict of the innermost ignore file that has one; `chain` goes from the outermost in."""
    for rules in reversed(chain):
        verdict = rules.verdict(path, is_folder=is_folder)
        if verdict is not None:
            return verdict
    return False


def _rule(line: str) -> IgnoreRule | None:
    glob = line.rstrip()
    if not glob or glob.startswith("#"):
        return None
    ignores = not glob.startswith("!")
    glob = glob if ignores else glob[1:]
    folders_only = glob.endswith("/")
    glob = glob.rstrip("/")
    if not glob:
        return None
    # A glob with a slash counts from the folder of the ignore file, one without matches at any depth.
    anywhere = "" if "/" in glob else "(?:.*/)?"
    return IgnoreRule(re.compile(anywhere + _regex(glob.lstrip("/")), re.DOTALL), ignores, folders_only)


def _regex(glob: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(glob):
        piece, at = _piece(glob, at)
        parts.append(piece)
    return "".join(parts)


def _piece(glob: str, at: int) -> tuple[str, int]:
    """Return the regular expression of the wildcard or character at `at`, and where the next one begins."""
    starts_part = at == 0 or glob[at - 1] == "/"
    if starts_part and glob.startswith("**/", at):
        return "(?:[^/]+/)*", at + 3
    if starts_part and glob[at:] == "**":
        return ".+", at + 2
    char = glob[at]
    if char == "*":
        return "[^/]*", at + 1
    if char == "?":
        return "[^/]", at + 1
    if char == "[" and (end := glob.find("]", at + 2)) != -1:
        return _character_class(glob[at + 1 : end]), end + 1
    if char == "\\" and at + 1 < len(glob):
        return re.escape(glob[at + 1]), at + 2
    return re.escape(char), at + 1


def _character_class(inside: str) -> str:
    negated = inside[0] in "!^" and len(inside) > 1
    members = inside[1:] if negated else inside
    escaped = re.sub(r"([\\\[\]^&~|])", r"\\\1", members)
    text = f"[{'^/' if negated else ''}{escaped}]"
    try:
        re.compile(text)
    except re.error:  # such as a reversed range: it matches itself, like a text
        return re.escape(f"[{inside}]")
    return text
