"""The house: README, tox.ini, examples, links and pins say what is so."""

import configparser
import os
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from orch.cli.catalogue import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
TEXT_SUFFIXES = {".cfg", ".csv", ".ini", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml", ""}
FORBIDDEN = [
    r"(?<![\w.~-])/(?:home|Users)/\w+/",  # somebody's home folder
    r"(?<![\w.~-])/root/",
    r"(?<![\w.~-])/(?:work|workspace|builds)/\w",  # a build machine's folders
    r"\bfiles\.pythonhosted\.org\b",
    r"\b[\w.-]+/simple/?(?=[\s\"'])",  # a package index
    r"(?:index-url|extra-index-url|find-links)\s*=",
    r"\buv\.lock\b.*\bhttps?://",
    r"\b(?:10(?:\.\d{1,3}){3}|192\.168(?:\.\d{1,3}){2})\b",  # a private network
]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:core|providers|tests|docs|\.ci)/[\w./-]*\w)`")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def text_files() -> list[Path]:
    """Return the text files that belong to the project: all but what .gitignore leaves out."""
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()] + [".git"]
    found = []
    for folder, subfolders, names in os.walk(ROOT):
        here = Path(folder)

        def is_ours(name: str, here: Path = here) -> bool:
            path = str((here / name).relative_to(ROOT))
            return not any(fnmatch(name, pattern) or fnmatch(path, pattern) for pattern in ignored)

        subfolders[:] = filter(is_ours, subfolders)
        found += [here / name for name in filter(is_ours, names)]
    return [path for path in found if path.suffix in TEXT_SUFFIXES]


def markdown_files() -> list[Path]:
    return [path for path in text_files() if path.suffix == ".md"]


def test_readme_opens_with_the_two_commands() -> None:
    first_block = FENCE.search((ROOT / "README.md").read_text())
    assert first_block is not None
    assert first_block[0].splitlines()[1:-1] == [
        "pip install uv && uv run orch up",
        "pip install uv && uv run pytest",
    ]


def test_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"`orch {name}" not in readme] == []


def test_every_tox_environment_is_described() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    environments = [section for section in tox.sections() if section.startswith("testenv:")]
    assert {"testenv:fast", "testenv:full", "testenv:types", "testenv:lint", "testenv:fix"} <= set(
        environments
    )
    assert [name for name in environments if not tox[name].get("description")] == []


def test_contributing_names_every_tox_environment() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    names = [section.removeprefix("testenv:") for section in tox.sections() if section.startswith("testenv:")]
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    assert [name for name in names if f"`{name}`" not in contributing] == []


def test_every_example_and_drop_in_compiles() -> None:
    examples = [*ROOT.glob("dags/**/*.py"), *ROOT.glob("plugins/*.py")]
    assert len(examples) >= 6
    for path in examples:
        compile(path.read_text(), str(path), "exec")


def test_ci_script_can_be_run() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_no_file_tells_where_it_was_made() -> None:
    found = []
    for path in text_files():
        if path == Path(__file__).resolve():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {m[0]}" for rule in FORBIDDEN for m in re.finditer(rule, text)]
    assert found == []


@pytest.mark.parametrize(
    "leak",
    [
        "see /home/somebody/orch",
        "/root/.cache",
        "url = https://files.pythonhosted.org/x",
        "http://10.1.2.3:8080",
    ],
)
def test_the_forbidden_list_finds_what_it_is_for(leak: str) -> None:
    assert any(re.search(rule, leak) for rule in FORBIDDEN)


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for path in markdown_files():
        prose = FENCE.sub("", path.read_text())
        for target in LINK.findall(prose):
            if "://" in target or target.startswith(("#", "mailto:")):
                continue
            if not (path.parent / target.partition("#")[0]).exists():
                broken.append(f"{path.relative_to(ROOT)} -> {target}")
    assert broken == []


def test_every_file_the_docs_name_exists() -> None:
    missing = []
    for page in markdown_files():
        named = [name for name in PATH.findall(page.read_text()) if "NAME" not in name]
        missing += [f"{page.relative_to(ROOT)}: {name}" for name in named if not (ROOT / name).exists()]
    assert missing == []


def test_every_runtime_dependency_is_pinned_and_decided() -> None:
    pyprojects = [
        ROOT / "pyproject.toml",
        *ROOT.glob("core/pyproject.toml"),
        *ROOT.glob("providers/*/pyproject.toml"),
    ]
    decisions = (ROOT / "docs/project-decisions.md").read_text()
    constraints = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"][
        "constraint-dependencies"
    ]
    pinned = {constraint.partition("==")[0] for constraint in constraints}
    for pyproject in pyprojects:
        for requirement in tomllib.loads(pyproject.read_text())["project"]["dependencies"]:
            name = re.split(r"[<>=!~\[; ]", requirement)[0]
            if not name.startswith("orch-"):
                assert name in pinned, f"{name} has no tested version; run `uv run tox -e pins`"
                assert f"`{name}`" in decisions, f"{name} needs its reason in docs/project-decisions.md"


def test_changelog_fragments_are_named_by_kind() -> None:
    kinds = {"added", "changed", "deprecated", "removed", "fixed"}
    fragments = [path for path in ROOT.glob("**/changelog.d/*") if ".venv" not in path.parts]
    odd = [
        p.name
        for p in fragments
        if p.name != "README.md" and (p.suffix != ".md" or p.stem.split(".")[-1] not in kinds)
    ]
    assert odd == []
