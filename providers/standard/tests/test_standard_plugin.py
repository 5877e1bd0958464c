"""The package: its plugin, its names, its empty operator."""

import subprocess
import sys
from importlib import import_module

import pytest

import orch
import orch_standard
from orch import DAG
from orch_standard import EmptyOperator, PythonOperator, plugin


def test_the_plugin_names_every_operator_and_where_it_is() -> None:
    specs = plugin.register_operators()
    assert {spec.name for spec in specs} == set(orch_standard.__all__)
    for spec in specs:
        module, _, name = spec.import_path.partition(":")
        assert getattr(import_module(module), name).__name__ == spec.name


def test_loading_the_plugin_imports_no_operator() -> None:
    code = (
        "import sys, orch_standard.plugin; print([m for m in sys.modules if m.startswith('orch.authoring')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_python_operator_is_cores() -> None:
    assert PythonOperator is orch.PythonOperator


def test_an_unknown_name_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="cannot import name 'BashOperater'"):
        exec("from orch_standard import BashOperater", {})


def test_an_empty_operator_says_that_there_is_nothing_to_run() -> None:
    with DAG("x") as made:
        EmptyOperator(task_id="start", trigger_rule="all_done").execute({})
    [spec] = made.to_spec().tasks
    assert (spec.empty, spec.operator, spec.trigger_rule) == (True, "EmptyOperator", "all_done")
