"""Catalogues: every setting and hook is documented as it is, and every hook is exercised by a test."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.catalogues import DOCS, FACTS, PAGES, facts_of, rendered

from orch.plugins.validate import SPEC_MODULES, hook_specs
from orch.settings import SETTINGS, Setting

ROOT = DOCS.parent
HOOKS = hook_specs()


def implemented_hooks(file: Path) -> Iterator[str]:
    """Yield the names of the functions that a test file marks with `@hookimpl`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and any(
            ast.unparse(d) == "hookimpl" for d in node.decorator_list
        ):
            yield node.name


@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_page_says_what_the_code_says(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert text == rendered(page), f"docs/{page} is out of date; run `python -m tests.catalogues`"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_each_setting_has_a_sentence(setting: Setting) -> None:
    assert re.fullmatch(r"[A-Z].*\.", setting.sentence), setting.sentence


@pytest.mark.parametrize(("name", "spec"), HOOKS.items(), ids=list(HOOKS))
def test_each_hook_tells_its_facts(name: str, spec: Callable[..., Any]) -> None:
    assert set(facts_of(spec)) == set(FACTS), f"the docstring of {name} lacks one of {', '.join(FACTS)}"
    assert re.fullmatch(r"\d+\.\d+", facts_of(spec)["Since"])


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_has_the_prefix_of_its_kind(name: str) -> None:
    prefix = {"collecting": "register_", "observer": "on_"}[facts_of(HOOKS[name])["Kind"]]
    assert name.startswith(prefix)


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_is_fully_annotated(name: str) -> None:
    annotations = HOOKS[name].__annotations__
    assert "return" in annotations
    assert set(HOOKS[name].__code__.co_varnames) <= set(annotations)


def test_each_hook_is_exercised_by_a_test() -> None:
    files = [*(ROOT / "tests").rglob("test_*.py"), *ROOT.glob("providers/*/tests/**/test_*.py")]
    exercised = {hook for file in files for hook in implemented_hooks(file)}
    assert not set(HOOKS) - exercised


def test_each_spec_module_is_asked() -> None:
    folder = ROOT / "core" / "src" / "orch" / "hookspecs"
    with_specs = {
        file.stem for file in folder.glob("*.py") if "\n@hookspec" in file.read_text(encoding="utf-8")
    }
    assert with_specs == {module.__name__.rpartition(".")[2] for module in SPEC_MODULES}
