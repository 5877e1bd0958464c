"""Imports point down only; each outside library has one home; providers use the public doors."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "src" / "orch"

LAYERS = (
    ("domain",),
    ("hookspecs",),
    ("authoring",),
    ("timetables",),
    ("runner",),
    ("inprocess",),
    ("plugins",),
    ("store",),
    ("operations",),
    ("scheduler", "dagfiles", "worker"),
    ("app",),
    ("cli", "testing"),
    ("__main__",),
)
"""From the bottom to the top; members of one layer do not import each other."""

LEAVES = frozenset({"errors", "clock", "settings", "events", "ids", "failpoints", "hints", "processes"})
"""Importable from everywhere; they import each other at most."""

FACE = "orch"
"""`orch/__init__.py`, the author's face: it shows names of `authoring` and `runner`, and sits just above them."""

HOMES = {
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "pluggy": {"plugins", "hookspecs"},
    "importlib_metadata": {"plugins"},
    "click": {"cli"},
    "rich": {"cli"},
    "watchdog": {"dagfiles"},
    "pytest": {"testing"},
}
"""Outside library -> the parts of core that may import it; others are not core's."""

MARKERS_ONLY = frozenset({"HookimplMarker", "HookspecMarker"})
SLIM = frozenset({"domain", "authoring", "runner", "inprocess"})
BY_NAME = {("authoring/dag.py", "orch.inprocess.dag_test")}
"""Modules that a lower part loads by name when somebody asks for it: (file in core, module)."""
PROVIDER_DOORS = ("orch.hookspecs", "orch.operations", "orch.testing")
HEIGHT = {part: height for height, parts in enumerate(LAYERS) for part in parts}


class Import(NamedTuple):
    """One imported name of one file."""

    file: Path
    line: int
    module: str
    name: str | None
    """What is taken from the module; None for `import module`."""
    inside_function: bool

    @property
    def target(self) -> str:
        """The part of core it leads to: `store`, `errors`, or `orch` for the face."""
        path = self.module if self.module != FACE or self.name is None else f"{FACE}.{self.name}"
        part = path.split(".")[1] if "." in path else FACE
        return part if part in HEIGHT or part in LEAVES else FACE

    @property
    def library(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        where = " inside a function" if self.inside_function else ""
        return f"{self.file}:{self.line} imports {self.module}{f'.{self.name}' if self.name else ''}{where}"


def imports_of(file: Path, source: str) -> Iterator[Import]:
    tree = ast.parse(source, str(file))
    nested = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, None, id(node) in nested)
        elif isinstance(node, ast.ImportFrom):
            module = absolute_name(node, file)
            for alias in node.names:
                yield Import(file, node.lineno, module, alias.name, id(node) in nested)
        elif (
            isinstance(node, ast.Call)
            and (named := module_by_name(node))
            and (below_core(file), named) not in BY_NAME
        ):
            yield Import(file, node.lineno, named, None, id(node) in nested)


def module_by_name(node: ast.Call) -> str | None:
    """Return the module that `import_module("orch...")` loads."""
    if ast.unparse(node.func).rpartition(".")[2] == "import_module":
        name = node.args[0]
        if isinstance(name, ast.Constant) and str(name.value).startswith(f"{FACE}."):
            return str(name.value)
    return None


def below_core(file: Path) -> str:
    return "/".join(file.parts[file.parts.index(FACE) + 1 :]) if FACE in file.parts else str(file)


def absolute_name(node: ast.ImportFrom, file: Path) -> str:
    if not node.level:
        return node.module or ""
    package = file.parts[file.parts.index(FACE) : -1]
    base = package[: len(package) - node.level + 1]
    return ".".join((*base, node.module) if node.module else base)


def part_of(file: Path) -> str:
    below = file.parts[file.parts.index(FACE) + 1 :]
    part = below[0].removesuffix(".py")
    return FACE if part == "__init__" else part


def complaints(file: Path, source: str) -> list[str]:
    """Return a sentence for each import of a core file that points up, sideways, or out of its home."""
    part = part_of(file)
    if part != FACE and part not in HEIGHT and part not in LEAVES:
        return [f"{file}: {part!r} belongs to no layer; enter it in tests/unit/test_layers.py"]
    found = (complaint(part, each) for each in imports_of(file, source))
    return [sentence for sentence in found if sentence]


def complaint(part: str, each: Import) -> str | None:
    if each.library == FACE:
        return direction(part, each)
    if each.library in sys.stdlib_module_names:
        return None
    if part in SLIM or part in LEAVES or part == FACE:
        return f"{each}; {part} uses the standard library only"
    if part not in HOMES.get(each.library, set()):
        homes = ", ".join(sorted(HOMES.get(each.library, {"no part of core"})))
        return f"{each}; {each.library} belongs to {homes}"
    if part == "hookspecs" and each.name not in MARKERS_ONLY:
        return f"{each}; hookspecs take only the markers of pluggy"
    return None


def direction(part: str, each: Import) -> str | None:
    target = each.target
    if target == part or target in LEAVES:
        return None
    if part in LEAVES:
        return f"{each}; {part} is a leaf and imports leaves only"
    if part == FACE:
        return None if HEIGHT[target] <= HEIGHT["runner"] else f"{each}; the face shows authoring and runner"
    height = HEIGHT["runner"] if target == FACE else HEIGHT[target]
    return None if height < HEIGHT[part] else f"{each}; {part} is not above {target}"


def provider_complaints(file: Path, source: str, package: str) -> list[str]:
    """Return a sentence for each import of a provider that is not a public door of core."""
    return [
        f"{each}; a provider imports orch, {', '.join(PROVIDER_DOORS)}"
        for each in imports_of(file, source)
        if (each.library == FACE and not is_door(each)) or (is_other_provider(each, package))
    ]


def is_door(each: Import) -> bool:
    if each.module == FACE:
        return (
            each.name is None
            or each.name in {"hookspecs", "operations", "testing"}
            or not is_module(each.name)
        )
    return any(each.module == door or each.module.startswith(f"{door}.") for door in PROVIDER_DOORS)


def is_module(name: str) -> bool:
    return (CORE / name).is_dir() or (CORE / f"{name}.py").exists()


def is_other_provider(each: Import, package: str) -> bool:
    return each.library.startswith("orch_") and each.library != package


def test_core_imports_point_down() -> None:
    found = [
        sentence
        for file in sorted(CORE.rglob("*.py"))
        for sentence in complaints(file.relative_to(ROOT), file.read_text(encoding="utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


def test_providers_use_the_public_doors() -> None:
    found = [
        sentence
        for package in sorted((ROOT / "providers").glob("*/src/orch_*"))
        for file in sorted(package.rglob("*.py"))
        for sentence in provider_complaints(
            file.relative_to(ROOT), file.read_text(encoding="utf-8"), package.name
        )
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("file", "source", "problem"),
    [
        ("domain/decide.py", "from orch.store.engine import Store", "domain is not above store"),
        ("domain/decide.py", "import sqlalchemy", "domain uses the standard library only"),
        ("domain/decide.py", "from orch import DAG", "domain is not above orch"),
        ("domain/decide.py", "from ..store import engine", "domain is not above store"),
        ("runner/host.py", "import orch.store", "runner is not above store"),
        ("runner/host.py", "from orch import DAG", "runner is not above orch"),
        ("runner/host.py", "import click", "runner uses the standard library only"),
        ("authoring/dag.py", "import_module('orch.store.engine')", "authoring is not above store"),
        ("authoring/task.py", "import_module('orch.inprocess.dag_test')", "authoring is not above inprocess"),
        ("inprocess/pool.py", "from orch.store.engine import Store", "inprocess is not above store"),
        ("inprocess/pool.py", "from orch.plugins.facade import Plugins", "inprocess is not above plugins"),
        ("inprocess/pool.py", "import sqlalchemy", "inprocess uses the standard library only"),
        ("scheduler/send.py", "from orch.worker import loop", "scheduler is not above worker"),
        ("scheduler/send.py", "import sqlalchemy as sa", "sqlalchemy belongs to store"),
        ("scheduler/send.py", "from orch import cli", "scheduler is not above cli"),
        ("worker/loop.py", "import rich.table", "rich belongs to cli"),
        ("store/engine.py", "from pluggy import PluginManager", "pluggy belongs to hookspecs, plugins"),
        ("hookspecs/markers.py", "from pluggy import PluginManager", "only the markers"),
        ("operations/runs.py", "import requests", "requests belongs to no part of core"),
        ("errors.py", "from orch.domain.states import TaskState", "errors is a leaf"),
        ("__init__.py", "from orch.store.engine import Store", "the face shows authoring"),
        ("misc/x.py", "import os", "'misc' belongs to no layer"),
        ("domain/decide.py", "def f():\n    from orch.store import engine", ":2 imports orch.store.engine inside a"),
    ],
)  # fmt: skip
def test_an_import_that_points_up_is_named_with_its_line(file: str, source: str, problem: str) -> None:
    (sentence,) = complaints(Path("core/src/orch") / file, source)
    assert problem in sentence
    assert f"core/src/orch/{file}" in sentence


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("cli/main.py", "import click, rich\nfrom orch import app\nfrom orch.store.engine import Store"),
        ("store/engine.py", "import sqlalchemy as sa\nfrom orch.store.tables import dag\nimport orch.errors"),
        ("runner/host.py", "from orch.authoring import dag\nimport json"),
        ("inprocess/pool.py", "import threading\nfrom orch.runner.execute import run_attempt"),
        ("authoring/dag.py", "import_module('orch.inprocess.dag_test')"),
        ("hookspecs/markers.py", "from pluggy import HookimplMarker"),
        ("__init__.py", "from orch.authoring.dag import DAG\nfrom orch.runner.context import Context"),
        ("dagfiles/stem.py", "from orch import DAG\nimport orch"),
        ("settings/load.py", "from orch.settings.declare import Setting\nfrom orch.errors import nearest"),
    ],
)
def test_an_import_that_points_down_passes(file: str, source: str) -> None:
    assert complaints(Path("core/src/orch") / file, source) == []


@pytest.mark.parametrize(
    ("source", "is_fine"),
    [
        ("from orch import BaseOperator", True),
        ("from orch.hookspecs import hookimpl", True),
        ("from orch.testing.executors import ExecutorContract", True),
        ("import boto3", True),
        ("from orch_aws.client import Client", True),
        ("from orch.store.engine import Store", False),
        ("from orch import store", False),
        ("from orch.errors import OrchError", False),
        ("from orch.hookspecs_private import x", False),
        ("from orch_standard import BashOperator", False),
    ],
)
def test_a_provider_imports_only_what_is_public(source: str, is_fine: bool) -> None:
    found = provider_complaints(Path("providers/aws/src/orch_aws/plugin.py"), source, "orch_aws")
    assert (not found) is is_fine
