"""The face: what `from orch import ...` gives, and how little it costs."""

import subprocess
import sys

import pytest

import orch
from orch.errors import DagDefinitionError, NotBuiltYet


def test_every_public_name_can_be_imported() -> None:
    for name in orch.__all__:
        assert getattr(orch, name) is not None
    assert dir(orch) == sorted(orch.__all__)


def test_the_lists_of_names_agree() -> None:
    assert set(orch._HOMES) == set(orch.__all__)


@pytest.mark.parametrize("name", ["task_group", "Param", "BaseSensor", "Variable", "setup"])
def test_names_of_later_releases_are_refused_by_name(name: str) -> None:
    with pytest.raises(NotBuiltYet, match=f"'{name}' comes in a later release of orch; leave it out"):
        exec(f"from orch import {name}", {})


def test_an_unknown_name_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Dag'"):
        exec("from orch import Dag", {})


def test_an_operator_of_a_provider_is_named_with_its_home() -> None:
    with pytest.raises(DagDefinitionError, match="write `from orch_standard import BashOperator`"):
        exec("from orch import BashOperator", {})


@pytest.mark.parametrize(("name", "right"), [("Dag", "DAG"), ("chian", "chain")])
def test_a_misspelt_attribute_is_answered_with_the_nearest(name: str, right: str) -> None:
    with pytest.raises(AttributeError, match=f"did you mean '{right}'"):
        getattr(orch, name)


def test_importing_orch_alone_loads_next_to_nothing() -> None:
    code = "import sys, orch; print([m for m in sys.modules if m.startswith('orch.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['orch.errors']"


def test_the_authors_face_needs_the_standard_library_only() -> None:
    code = (
        "import sys; from orch import *; import orch.runner.execute, orch.runner.loading;"
        "print(*sorted({m.partition('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)))"
    )
    command = [sys.executable, "-S", "-c", code]
    env = {"PYTHONPATH": orch.__path__[0].removesuffix("/orch")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert [name for name in done.stdout.split() if not name.startswith("_")] == ["orch"]
