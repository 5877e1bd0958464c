"""The documentation: its code runs, its commands, names and links exist, its decisions have one form."""

import ast
import importlib
import re
import runpy
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from orch.cli.catalogue import COMMANDS
from orch.cli.main import cli

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OTHER_PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("core/README.md")),
    *sorted(ROOT.glob("providers/*/README.md")),
]
PAGES = [*OTHER_PAGES, *sorted(DOCS.rglob("*.md"))]
ADRS = sorted((DOCS / "adr").glob("*.md"))
ADR_SECTIONS = ["Context", "Decision", "Consequences"]

FENCE = re.compile(r"^(?P<indent> *)```(?P<info>.*)$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(?P<text>.+?)\s*$")
CODE_NAME = re.compile(r"`(?P<name>orch(?:\.[A-Za-z_]\w*)+)(?:\([^`]*\))?`")
FILES = {"orch.db", "orch.toml"}
"""They read like names of modules and are files of the home."""


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    """Where its first line of content stands, counted from 1."""
    language: str
    tags: frozenset[str]
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path, text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page; one that is never closed is an error."""
    opened: tuple[int, re.Match[str]] | None = None
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        fence = FENCE.match(line)
        if fence is None:
            continue
        if opened is None:
            opened = number, fence
            continue
        start, first = opened
        language, _, tags = first["info"].strip().partition(" ")
        content = textwrap.dedent("\n".join(lines[start : number - 1]) + "\n")
        yield Block(page, start + 1, language, frozenset(tags.split()), content)
        opened = None
    assert opened is None, f"{page}:{opened[0]}: a block is opened and never closed"


def prose_of(text: str) -> str:
    """Return the page without its fenced blocks, line for line."""
    inside = False
    kept = []
    for line in text.splitlines():
        is_fence = FENCE.match(line) is not None
        kept.append("" if inside or is_fence else line)
        inside ^= is_fence
    return "\n".join(kept)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


BLOCKS = [block for page in PAGES for block in blocks_of(page, page.read_text(encoding="utf-8"))]
PYTHON = [block for block in BLOCKS if block.language == "python"]
RUNNING = [block for block in PYTHON if "no-run" not in block.tags]


# Python


@pytest.mark.parametrize("block", RUNNING, ids=str)
def test_a_python_block_runs_alone(block, tmp_path, monkeypatch):
    program = tmp_path / f"{block.page.stem}.py"
    # The empty lines make a traceback show the line of the page.
    program.write_text("\n" * (block.line - 1) + block.text, encoding="utf-8")
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    runpy.run_path(str(program), run_name="docs_block")


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_python_block_compiles_and_has_known_tags(block):
    assert block.tags <= {"no-run"}, f"{block}: the only tag is no-run"
    ast.parse(block.text, str(block))


def test_the_course_shows_code_that_runs():
    with_code = {name_of(block.page) for block in RUNNING}
    assert {name_of(page) for page in DOCS.glob("phase-*/README.md")} <= with_code


# Commands


def commands_in(block: Block) -> Iterator[list[str]]:
    """Yield the words of each `orch ...` in a console block, without what comes before `orch`.

    Where some lines begin with `$`, the others are output.
    """
    lines = block.text.replace("\\\n", " ").splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in lines:
        for part in re.split(r"&&|\|\||[|;]", line):
            words = shlex.split(part, comments=True)
            if "orch" in words:
                yield words[words.index("orch") + 1 :]


def complaint(words: list[str]) -> str | None:
    """Return what is wrong with the words after `orch`; None when command, sub-command and options exist."""
    command: click.Command = cli
    context = click.Context(cli, info_name="orch")
    given = iter(words)
    while isinstance(command, click.Group):
        name = next((word for word in given if not word.startswith("-")), None)
        if name is None:
            return None
        if command is cli and name not in COMMANDS:
            return f"orch has no command {name!r}"
        found = command.get_command(context, name)
        if found is None:
            return f"{command.name!r} has no sub-command {name!r}"
        command = found
    known = {option for parameter in command.get_params(context) for option in parameter.opts}
    odd = [word for word in given if word.startswith("-") and word.partition("=")[0] not in known]
    return f"{command.name!r} has no option {odd[0]!r}" if odd else None


COMMANDS_SHOWN = [
    pytest.param(words, id=f"{block} orch {' '.join(words)}")
    for block in BLOCKS
    if block.language == "console"
    for words in commands_in(block)
]


@pytest.mark.parametrize("words", COMMANDS_SHOWN)
def test_a_shown_command_exists(words):
    assert complaint(words) is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("$ orch statsu weather", "no command 'statsu'"),
        ("$ uv run orch db verfy", "no sub-command 'verfy'"),
        ("$ orch trigger weather --cnof '{}'", "no option '--cnof'"),
    ],
)
def test_a_command_that_does_not_exist_is_found(line, problem):
    (words,) = commands_in(Block(DOCS, 1, "console", frozenset(), f"{line}\n"))
    assert problem in (complaint(words) or "")


# Names


def resolve(name: str) -> object:
    """Return what a dotted name means: a module, or an attribute of an attribute of one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            fields = getattr(found, "__dataclass_fields__", {})
            found = fields[part] if part in fields else getattr(found, part)
        return found
    raise AttributeError(name)


def code_names(page: Path) -> list[str]:
    names = {match["name"] for match in CODE_NAME.finditer(prose_of(page.read_text(encoding="utf-8")))}
    return sorted(names - FILES)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_code_name_of_a_page_exists(page):
    missing = []
    for name in code_names(page):
        try:
            resolve(name)
        except AttributeError:
            missing.append(name)
    assert missing == []


def test_a_code_name_that_does_not_exist_is_found():
    assert resolve("orch.domain.graph.Graph.find_cycle")
    for name in ("orch.domain.graph.Graph.find_circle", "orch.domain.grahp", "orch.domain.graph.no_such"):
        with pytest.raises(AttributeError):
            resolve(name)


# Links


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    found = set()
    for line in prose_of(page.read_text(encoding="utf-8")).splitlines():
        if heading := HEADING.match(line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading["text"]).lower()
            found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_of_a_page_leads_somewhere(page):
    broken = []
    for match in LINK.finditer(prose_of(page.read_text(encoding="utf-8"))):
        target, _, anchor = match["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        there = page if not target else (page.parent / target).resolve()
        if not there.exists() or (anchor and anchor not in anchors_of(there)):
            broken.append(match["target"])
    assert broken == []


def test_the_map_of_the_docs_names_every_page():
    shown = {
        (DOCS / match["target"].partition("#")[0]).resolve()
        for match in LINK.finditer((DOCS / "README.md").read_text(encoding="utf-8"))
    }
    assert [
        name_of(page) for page in DOCS.rglob("*.md") if page != DOCS / "README.md" and page not in shown
    ] == []


# Decisions


@pytest.mark.parametrize("page", ADRS, ids=name_of)
def test_a_decision_has_its_number_and_its_three_sections(page):
    headings = [
        line for line in prose_of(page.read_text(encoding="utf-8")).splitlines() if HEADING.match(line)
    ]
    assert re.match(rf"# {page.name[:4]}\. \w", headings[0])
    assert [line.removeprefix("## ") for line in headings[1:] if line.startswith("## ")] == ADR_SECTIONS


def test_the_decisions_are_numbered_without_gaps():
    assert [page.name[:4] for page in ADRS] == [f"{number:04}" for number in range(1, len(ADRS) + 1)]
