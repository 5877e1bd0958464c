"""Loading: a DAG file becomes the DAGs that it defines."""

import hashlib
import importlib.util
import linecache
import os
import re
import sys
from collections.abc import Callable
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
from typing import Any

from orch.authoring.collect import collecting
from orch.authoring.dag import DAG
from orch.authoring.operator import BaseOperator
from orch.errors import NotFound, nearest
from orch.runner.command import TaskCommand
from orch.runner.layout_finder import NothingFinder, finder_in


def load_dags(dag_file: str, dags_folder: str, layout: str | None = None) -> list[DAG]:
    """Import a DAG file afresh and return the DAGs it defines, in their order; what the file raises, passes.

    All paths are absolute. The dags folder stays importable afterwards, because tasks may import late. With
    `layout`, everything is read in that copy of the dags folder, whatever has become of the folder itself; stacks
    still name the author's files, with the lines that were run. Code behind its links to live folders is not found.
    """
    folder = dags_folder if layout is None else layout
    file = dag_file if layout is None else str(Path(layout, Path(dag_file).relative_to(dags_folder)))
    make_importable(folder, dags_folder)
    name = _module_name(dag_file)
    loader = _loader_of(folder, dags_folder)(name, file)
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    if spec is None:
        raise NotFound(f"{dag_file} cannot be imported as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with collecting(file) as dags:
            loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return dags


def find_task(dags: list[DAG], command: TaskCommand, *, is_stored: bool = False) -> BaseOperator:
    """Return the task of a command from its loaded file; raise NotFound when the file has it no longer.

    `is_stored` says that the file is as it was when the run was made.
    """
    try:
        return _find(dags, command.dag_file, command.dag_id, command.task_id)
    except NotFound as error:
        remedy = f"The run was created when {command.dag_file} had it; put it back, or make a new run"
        if is_stored:
            remedy = (
                "The file is as it was when the run was created, so it gives other tasks each time it is imported:"
                " let its tasks depend on nothing but the files in the dags folder"
            )
        raise NotFound(f"{error}. {remedy}") from None


def load_task(dag_file: str, dags_folder: str, dag_id: str, task_id: str) -> BaseOperator:
    """Import a DAG file afresh and return one task of it; raise NotFound when the file has it no longer."""
    return _find(load_dags(dag_file, dags_folder), dag_file, dag_id, task_id)


def make_importable(folder: str, shown: str | None = None) -> None:
    """Put the folder first on the import path; its modules are compiled from their source each time.

    A cached compilation of a file that was edited twice within a second may be that of the older text. Stacks
    name the files as if they were in the folder `shown`.
    """
    if folder not in sys.path:
        sys.path.insert(0, folder)
        sys.path_hooks.insert(0, partial(_finder, folder, shown or folder))
        sys.path_importer_cache.pop(folder, None)


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


class _Relocated(_Uncached):
    """Compiles a file of a copied folder under the name it has in the folder of its author."""

    def __init__(self, folder: str, shown: str, fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        self._folder = folder
        self._shown = shown

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        shown = self._shown + path.removeprefix(self._folder)
        content = self.get_data(path)
        code: CodeType = self.source_to_code(content, shown)
        lines = importlib.util.decode_source(content).splitlines(keepends=True)
        # Without a time stamp the entry stays, though the author's file may read otherwise by now.
        linecache.cache[shown] = (len(content), None, lines, shown)
        return code


def _loader_of(folder: str, shown: str) -> Callable[[str, str], SourceFileLoader]:
    return _Uncached if folder == shown else partial(_Relocated, folder, shown)


def _finder(folder: str, shown: str, entry: str) -> FileFinder | NothingFinder:
    if entry != folder and not entry.startswith(folder + os.sep):
        raise ImportError(f"{entry!r} is not below the dags folder")
    if folder != shown:
        return finder_in(folder, entry, _loader_of(folder, shown))
    loader: Any = _loader_of(folder, shown)  # a FileFinder only calls it
    return FileFinder(entry, (ExtensionFileLoader, EXTENSION_SUFFIXES), (loader, SOURCE_SUFFIXES))
