"""Loading: a DAG file becomes the DAGs that it defines."""

import hashlib
import importlib.util
import os
import re
import sys
from functools import partial
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType

from orch.authoring.collect import collecting
from orch.authoring.dag import DAG
from orch.authoring.operator import BaseOperator
from orch.errors import NotFound, nearest
from orch.runner.command import TaskCommand


def load_dags(dag_file: str, dags_folder: str) -> list[DAG]:
    """Import a DAG file afresh and return the DAGs it defines, in their order; what the file raises, passes.

    Both paths are absolute. The dags folder stays importable afterwards, because tasks may import late.
    """
    make_importable(dags_folder)
    name = _module_name(dag_file)
    loader = _Uncached(name, dag_file)
    spec = importlib.util.spec_from_file_location(name, dag_file, loader=loader)
    if spec is None:
        raise NotFound(f"{dag_file} cannot be imported as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with collecting(dag_file) as dags:
            loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return dags


def find_task(dags: list[DAG], command: TaskCommand) -> BaseOperator:
    """Return the task of a command from its loaded file; raise NotFound when the file has it no longer."""
    try:
        return _find(dags, command.dag_file, command.dag_id, command.task_id)
    except NotFound as error:
        raise NotFound(
            f"{error}. The run was created when {command.dag_file} had it; put it back, or make a new run"
        ) from None


def load_task(dag_file: str, dags_folder: str, dag_id: str, task_id: str) -> BaseOperator:
    """Import a DAG file afresh and return one task of it; raise NotFound when the file has it no longer."""
    return _find(load_dags(dag_file, dags_folder), dag_file, dag_id, task_id)


def make_importable(dags_folder: str) -> None:
    """Put the folder first on the import path; its modules are compiled from their source each time.

    A cached compilation of a file that was edited twice within a second may be that of the older text.
    """
    if dags_folder not in sys.path:
        sys.path.insert(0, dags_folder)
        sys.path_hooks.insert(0, partial(_finder, dags_folder))
        sys.path_importer_cache.pop(dags_folder, None)


def _find(dags: list[DAG], dag_file: str, dag_id: str, task_id: str) -> BaseOperator:
    by_id = {dag.dag_id: dag for dag in dags}
    if dag_id not in by_id:
        raise NotFound(f"{dag_file} defines no DAG {dag_id!r}{nearest(dag_id, by_id)}")
    return by_id[dag_id].get_task(task_id)


def _module_name(dag_file: str) -> str:
    """Return a name of its own for the file in `sys.modules`, so that it shadows no other module."""
    digest = hashlib.sha256(dag_file.encode()).hexdigest()[:12]
    return f"orch_dag_{digest}_{re.sub('[^0-9A-Za-z_]', '_', Path(dag_file).stem)}"


class _Uncached(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _finder(dags_folder: str, entry: str) -> FileFinder:
    if entry != dags_folder and not entry.startswith(dags_folder + os.sep):
        raise ImportError(f"{entry!r} is not below the dags folder")
    return FileFinder(entry, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_Uncached, SOURCE_SUFFIXES))
