"""Ownership: which file a DAG id belongs to when several declare it. The file that has it keeps it."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orch.dagfiles.results import ImportProblem, ImportResult


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a batch of results."""

    decided: list[ImportResult] = field(default_factory=list)
    """To be registered; a file that wants another one's DAG has a problem that names both."""
    held: list[ImportResult] = field(default_factory=list)
    """To be looked at again: a file that is just being imported may give up a DAG they declare, or go before them."""
    rivals: dict[str, frozenset[str]] = field(default_factory=dict)
    """Refused file → the files that have what it wants."""


def _names_none(_path: str, _dag_id: str) -> bool:
    return False


def decide(
    results: Iterable[ImportResult],
    owners: Mapping[str, str],
    pending: Collection[str] = (),
    names: Callable[[str, str], bool] = _names_none,
) -> Verdict:
    """Return who gets what; `owners` maps DAG id → file, `pending` are files that are being imported.

    Of several new claims the first path wins, whichever import ends first: a claim waits for a pending file
    before it of which `names(path, dag_id)` says that it may declare the same DAG. A file with a problem
    claims nothing and gives nothing up.
    """
    batch = sorted(results, key=lambda result: result.path)
    current = _without_given_up(batch, owners)
    verdict = Verdict()
    for result in batch:
        if result.problems:
            verdict.decided.append(result)
            continue
        dag_ids = [dag.dag_id for dag in result.dags]
        rivals = {
            dag_id: current[dag_id] for dag_id in dag_ids if current.get(dag_id, result.path) != result.path
        }
        claims = [dag_id for dag_id in dag_ids if dag_id not in current]
        earlier = [path for path in pending if path < result.path]
        if not rivals and any(names(path, dag_id) for path in earlier for dag_id in claims):
            verdict.held.append(result)
        elif not rivals:
            verdict.decided.append(result)
            current.update(dict.fromkeys(dag_ids, result.path))
        elif any(rival in pending for rival in rivals.values()):
            verdict.held.append(result)
        else:
            verdict.decided.append(replace(result, problems=_problems(result.path, rivals)))
            verdict.rivals[result.path] = frozenset(rivals.values())
    return verdict


def _without_given_up(batch: Sequence[ImportResult], owners: Mapping[str, str]) -> dict[str, str]:
    """Return the owners without the DAGs that their files declare no more."""
    declared = {result.path: {dag.dag_id for dag in result.dags} for result in batch if not result.problems}
    return {id_: path for id_, path in owners.items() if path not in declared or id_ in declared[path]}


def _problems(path: str, rivals: Mapping[str, str]) -> tuple[ImportProblem, ...]:
    return tuple(
        ImportProblem.of(
            f"DAG {dag_id!r} is declared in {rival} and in {path}; {rival} keeps it: give the one in {path} another id"
        )
        for dag_id, rival in rivals.items()
    )
