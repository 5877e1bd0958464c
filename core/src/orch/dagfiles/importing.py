"""The import of one DAG file, in the process that exists for it: run it, collect its DAGs, serialise them."""

import time
from pathlib import Path

from orch.authoring.dag import DAG
from orch.authoring.strays import finding_strays
from orch.dagfiles.limits import lift_memory_limit, time_limit
from orch.dagfiles.problems import Explainer, ImportTimeout, line_of_dag
from orch.dagfiles.recorder import SourceRecorder
from orch.dagfiles.results import ImportedDag, ImportProblem, ImportResult
from orch.domain.sources import MISSING
from orch.runner.loading import load_dags


def import_file(explainer: Explainer) -> ImportResult:
    """Import the file and return its DAGs and problems. Changes this interpreter for good: call it once."""
    began = time.perf_counter()
    problems: list[ImportProblem] = []
    dags: list[ImportedDag] = []
    strays: tuple[str, ...] = ()
    misses_module = False
    recorder = SourceRecorder(Path(explainer.config.folder))
    recorder.install()
    try:
        with time_limit(explainer.config.timeout_seconds):
            with finding_strays(explainer.file) as made:
                found = load_dags(explainer.file, explainer.config.folder)
            strays = () if found else tuple(made.sentences)
            for dag in found:
                _serialise(dag, explainer, dags, problems)
    except BaseException as error:  # the edge of foreign code; SystemExit too must become a sentence
        if isinstance(error, MemoryError):
            lift_memory_limit()
        problems.append(explainer.problem(error))
        misses_module = isinstance(error, ImportError)
    return ImportResult(
        explainer.path,
        tuple(dags),
        tuple(problems),
        {explainer.path: MISSING} | recorder.sources(),
        time.perf_counter() - began,
        misses_module,
        strays,
    )


def _serialise(
    dag: DAG, explainer: Explainer, dags: list[ImportedDag], problems: list[ImportProblem]
) -> None:
    try:
        spec = dag.to_spec()
        dags.append(ImportedDag(dag.dag_id, spec.to_json(), spec.structure_hash))
    except (ImportTimeout, MemoryError):
        raise
    except Exception as error:  # the author's values decide what can go wrong here
        problems.append(explainer.problem(error, line_of_dag(Path(explainer.file), dag.dag_id)))
