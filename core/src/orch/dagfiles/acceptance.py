"""Acceptance: what core itself checks of imported DAGs, since a DAG file cannot know which plugins there are."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from orch.dagfiles.results import ImportedDag, ImportProblem, ImportResult
from orch.domain.dagspec import DagSpec
from orch.domain.sources import content_hash
from orch.domain.timetables import Timetable
from orch.errors import OrchError, PluginError
from orch.plugins import Plugins
from orch.store.queries.dag_files import DagLimits, FileProblem, ParsedDag, ParsedFile


def accept(result: ImportResult, plugins: Plugins) -> ImportResult:
    """Return the result; with problems when it names executors, timetables or weight rules that no plugin brings.

    A timetable is also asked for a tick, so that one that cannot work is found now and not when a run is due. Weight
    rules of plugins give the tasks their priorities.
    """
    found = [*_unknown_executors(result, plugins), *_bad_timetables(result, plugins)]
    dags = []
    for dag in result.dags:
        try:
            dags.append(_weighed(dag, plugins))
        except PluginError as error:
            found.append(ImportProblem.of(f"DAG {dag.dag_id!r}: {error}"))
            dags.append(dag)
    return replace(result, dags=tuple(dags), problems=(*result.problems, *found))


def parsed_file(result: ImportResult, default_limits: DagLimits, plugins: Plugins) -> ParsedFile:
    """Return the result as the store takes it; `default_limits` are those of DAGs that name none."""
    return ParsedFile(
        path=result.path,
        content_hash=content_hash(result.sources),
        stat_key=result.stat_key,
        sources=tuple(result.sources),
        dags=tuple(
            ParsedDag(_in_words(DagSpec.from_json(dag.spec), plugins), dag.spec, dag.structure_hash)
            for dag in result.dags
        ),
        problems=tuple(FileProblem(p.message, p.line, p.traceback) for p in result.problems),
        seconds=result.seconds,
        default_limits=default_limits,
        digests=result.sources,
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


def _weighed(dag: ImportedDag, plugins: Plugins) -> ImportedDag:
    if '"weight_rule":' not in dag.spec:
        return dag
    spec = DagSpec.from_json(dag.spec)
    weighed = plugins.with_priorities(spec)
    if weighed == spec:
        return dag
    return replace(dag, spec=weighed.to_json(), structure_hash=weighed.structure_hash)


TRIED_AT = datetime(2000, 1, 1, tzinfo=UTC)


def _bad_timetables(result: ImportResult, plugins: Plugins) -> Iterator[ImportProblem]:
    for dag in result.dags:
        if '"timetable":' not in dag.spec:
            continue
        try:
            _try_out(plugins.timetable_of(DagSpec.from_json(dag.spec)))
        except OrchError as error:
            yield ImportProblem.of(f"DAG {dag.dag_id!r}: {error}")


def _try_out(timetable: Timetable) -> None:
    tick = timetable.next_after(TRIED_AT)
    if tick is not None:
        timetable.interval_of(tick)
        timetable.logical_date(tick)
        timetable.latest(tick)


def _in_words(spec: DagSpec, plugins: Plugins) -> DagSpec:
    """Return the spec with its schedule in the words of the plugin, if that has any."""
    words = None
    if spec.timetable is not None:
        with suppress(OrchError):  # then the words of the file will do
            words = plugins.words_of(spec.timetable)
    return spec if words is None else replace(spec, schedule=words)
