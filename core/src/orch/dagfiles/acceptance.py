"""Acceptance: what core itself checks of imported DAGs, since a DAG file cannot know which executors there are."""

from collections.abc import Iterator
from dataclasses import replace

from orch.dagfiles.results import ImportProblem, ImportResult
from orch.dagfiles.sources import content_hash
from orch.domain.dagspec import DagSpec
from orch.errors import PluginError
from orch.plugins import Plugins
from orch.store.queries.dag_files import DagLimits, FileProblem, ParsedDag, ParsedFile


def accept(result: ImportResult, plugins: Plugins) -> ImportResult:
    """Return the result; with problems when its tasks name executors that no plugin brings."""
    return replace(result, problems=result.problems + tuple(_unknown_executors(result, plugins)))


def parsed_file(result: ImportResult, default_limits: DagLimits) -> ParsedFile:
    """Return the result as the store takes it; `default_limits` are those of DAGs that name none."""
    return ParsedFile(
        path=result.path,
        content_hash=content_hash(result.sources),
        stat_key=result.stat_key,
        sources=tuple(result.sources),
        dags=tuple(
            ParsedDag(DagSpec.from_json(dag.spec), dag.spec, dag.structure_hash) for dag in result.dags
        ),
        problems=tuple(FileProblem(p.message, p.line, p.traceback) for p in result.problems),
        seconds=result.seconds,
        default_limits=default_limits,
    )


def _unknown_executors(result: ImportResult, plugins: Plugins) -> Iterator[ImportProblem]:
    for dag in result.dags:
        if '"executor":' not in dag.spec:  # the JSON leaves out what was not given
            continue
        for task in DagSpec.from_json(dag.spec).tasks:
            if task.executor is not None and task.executor not in plugins.executors:
                try:
                    plugins.executor(task.executor)
                except PluginError as error:
                    yield ImportProblem.of(f"task {task.task_id!r} of DAG {dag.dag_id!r}: {error}")
