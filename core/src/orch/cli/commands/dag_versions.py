"""`orch dags versions`: every structure that a DAG has had, and the sources that gave it."""

from typing import Any

import click

from orch.app.reader import open_reader
from orch.cli.completing import dag_ids
from orch.cli.output import Cell, Output, counted
from orch.cli.prepare import refresh
from orch.cli.site import json_option, with_settings
from orch.clock import isoformat
from orch.settings import Settings
from orch.store.queries.dag_versions import Revision, Version, list_versions

SHORT = 12
"""Characters of a hash that people get to see."""


@click.command("versions")
@click.argument("dag_id", metavar="DAG", shell_complete=dag_ids)
@json_option
@with_settings(dags=True)
def dag_versions(settings: Settings, dag_id: str, *, as_json: bool) -> None:
    """List the versions of a DAG, the revisions of its code, and how many runs have each.

    A version is a structure: tasks, edges, schedule, limits. A revision is a state of the DAG file and of all
    that its import used.
    """
    refresh(settings)
    with open_reader(settings) as reader, reader.read() as tx:
        versions = list_versions(tx, dag_id)
    output = Output()
    if as_json:
        output.json([_document(version) for version in versions])
        return
    columns = ("version", "since", "structure", "tasks", "schedule", "runs", "open", "new runs")
    output.table(columns, [_cells(version) for version in versions])
    revisions = [(version, revision) for version in versions for revision in version.revisions]
    if revisions:
        output.line()
        output.table(
            ("revision", "version", "since", "file", "code", "new runs"),
            [_revision_cells(version, revision) for version, revision in revisions],
        )
    for sentence in open_elsewhere(versions):
        output.line(sentence)


def open_elsewhere(versions: list[Version]) -> list[str]:
    """Return a sentence for each version that runs which are not over still have, though new ones do not."""
    return [
        f"{counted(version.open_runs, 'run')} of version {version.number}"
        f" {'is' if version.open_runs == 1 else 'are'} not over, and will end with the code of that version"
        for version in versions
        if version.open_runs and not version.is_current
    ]


def _cells(version: Version) -> tuple[Cell, ...]:
    return (
        version.number,
        version.created_at,
        version.structure_hash[:SHORT],
        len(version.spec.tasks),
        version.spec.schedule,
        version.runs,
        version.open_runs or None,
        "get it" if version.is_current else None,
    )


def _revision_cells(version: Version, revision: Revision) -> tuple[Cell, ...]:
    return (
        revision.source_rev[:SHORT],
        version.number,
        revision.created_at,
        revision.file,
        "stored" if revision.is_stored else "not stored",
        "get it" if revision.source_rev == version.current_rev else None,
    )


def _document(version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "created_at": isoformat(version.created_at),
        "structure_hash": version.structure_hash,
        "tasks": len(version.spec.tasks),
        "schedule": version.spec.schedule,
        "runs": version.runs,
        "open_runs": version.open_runs,
        "is_current": version.is_current,
        "revisions": [
            {
                "source_rev": revision.source_rev,
                "created_at": isoformat(revision.created_at),
                "file": revision.file,
                "is_stored": revision.is_stored,
                "is_current": revision.source_rev == version.current_rev,
            }
            for revision in version.revisions
        ],
    }
