"""`orch dags`: the DAG files, checked with or without a database."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orch.app.reader import open_reader
from orch.cli.commands.dag_diff import dag_diff
from orch.cli.commands.dag_versions import dag_versions
from orch.cli.commands.list_dags import list_dags
from orch.cli.edge import DONE, FAILED
from orch.cli.output import Output
from orch.cli.prepare import refresh
from orch.cli.site import json_option, require_dags_folder, with_settings
from orch.clock import isoformat
from orch.settings import Settings
from orch.store.queries import dag_files

if TYPE_CHECKING:
    from orch.dagfiles.check import Checked
    from orch.dagfiles.results import ImportProblem
    from orch.store.queries.dag_files import ImportErrorRow

MOST_NAMED = 5
"""So many files that were left out are named; of more, the number says enough."""


@click.group()
def dags() -> None:
    """Check the DAG files; show and compare versions of DAGs."""


dags.add_command(list_dags, "list")
dags.add_command(dag_versions)
dags.add_command(dag_diff)


@dags.command()
@json_option
@with_settings(dags=True)
def errors(settings: Settings, *, as_json: bool) -> int:
    """Show why DAG files cannot be imported.

    The exit code is 1 when there is anything to show.
    """
    output = Output()
    refresh(settings)
    with open_reader(settings) as reader, reader.read() as tx:
        rows = dag_files.import_errors(tx)
    if as_json:
        output.json([{**_document(row.path, row), "created_at": isoformat(row.created_at)} for row in rows])
    else:
        for row in rows:
            _print(output, row.path, row)
        output.line(f"{_count(len(rows), 'import error')}")
    return FAILED if rows else DONE


@dags.command()
@click.argument("path", required=False, type=click.Path(path_type=Path), metavar="[PATH]")
@json_option
@with_settings(dags=True)
def check(settings: Settings, *, path: Path | None, as_json: bool) -> int:
    """Import DAG files in isolation; print what is wrong.

    PATH is a file or a folder; without it, all of the dags folder is checked. No database is needed or changed.
    The exit code is 1 when anything is wrong.
    """
    # Imported late: importing is the work of this command only.
    from orch.dagfiles.check import check as check_files
    from orch.plugins import load_plugins

    if path is None:
        require_dags_folder(settings.core.dags_folder)
    checked = check_files(settings, load_plugins(settings), path)
    output = Output()
    if as_json:
        output.json(_as_document(checked))
    else:
        _tell(output, checked)
    return DONE if checked.is_clean else FAILED


def _tell(output: Output, checked: "Checked") -> None:
    for result in checked.results:
        for problem in result.problems:
            _print(output, result.path, problem)
        if result.finding:
            output.line(result.finding)
    for sentence in checked.unseen:
        output.line(sentence)
    good = [result for result in checked.results if not result.problems]
    counts = [
        f"{_count(len(checked.results), 'file')} checked",
        _count(sum(len(result.dags) for result in good), "DAG"),
        f"{_count(len(checked.results) - len(good), 'file')} with problems",
    ]
    if checked.skipped:
        counts.append(
            f"{_count(checked.skipped, 'file')} without the word dag left out{_few(checked.left_out)}"
        )
    output.line(", ".join(counts))


def _as_document(checked: "Checked") -> dict[str, Any]:
    return {
        "files": [
            {
                "path": result.path,
                "dag_ids": [dag.dag_id for dag in result.dags],
                "seconds": round(result.seconds, 6),
                "strays": result.strays,
                "problems": [_document(result.path, problem) for problem in result.problems],
            }
            for result in checked.results
        ],
        "skipped": checked.skipped,
        "unseen": checked.unseen,
    }


def _document(path: str, problem: "ImportProblem | ImportErrorRow") -> dict[str, Any]:
    return {
        "path": path,
        "line": problem.line,
        "message": problem.message,
        "traceback": problem.traceback,
    }


def _print(output: Output, path: str, problem: "ImportProblem | ImportErrorRow") -> None:
    where = f"{path}:{problem.line}" if problem.line else path
    output.line(output.styled("failed", f"{where}: {problem.message}"))
    for line in _indented(problem.traceback.splitlines()):
        output.line(line)


def _indented(lines: Iterable[str]) -> Iterable[str]:
    return (f"    {line}" for line in lines)


def _few(paths: list[str]) -> str:
    return f" ({', '.join(paths)})" if len(paths) <= MOST_NAMED else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
