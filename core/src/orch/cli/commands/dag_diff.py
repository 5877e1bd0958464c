"""`orch dags diff`: what changed between two versions of a DAG, and in the code that gave them."""

import json
from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

import click

from orch.app.reader import open_reader
from orch.cli.commands.dag_versions import SHORT, open_elsewhere
from orch.cli.completing import dag_ids
from orch.cli.output import Output
from orch.cli.prepare import refresh
from orch.cli.site import json_option, with_settings
from orch.domain.sources import MISSING
from orch.domain.spec_diff import SpecDiff, compare
from orch.errors import BadInput
from orch.settings import Settings
from orch.store.queries.dag_versions import Revision, Version, content_of, list_versions, pick
from orch.store.reader import ReadTx

Sides = tuple[Version, Version]


@click.command("diff")
@click.argument("dag_id", metavar="DAG", shell_complete=dag_ids)
@click.argument("before", metavar="[FROM]", required=False, type=click.IntRange(min=1))
@click.argument("after", metavar="[TO]", required=False, type=click.IntRange(min=1))
@click.option("--source", "with_source", is_flag=True, help="Compare the stored code too, line by line.")
@json_option
@with_settings(dags=True)
def dag_diff(
    settings: Settings,
    dag_id: str,
    *,
    before: int | None,
    after: int | None,
    with_source: bool,
    as_json: bool,
) -> None:
    """Show what changed between two versions of a DAG.

    FROM and TO are numbers of `orch dags versions`; without them, the version before the one that new runs get is
    compared with that one. The newest code of each version is compared; while a DAG has one version only, the two
    newest revisions of its code are.
    """
    refresh(settings)
    with open_reader(settings) as reader, reader.read() as tx:
        versions = list_versions(tx, dag_id)
        old, new = _sides(dag_id, versions, before, after, with_source=with_source)
        diff = compare(old.spec, new.spec)
        code = list(_code(tx, *_revisions(dag_id, old, new))) if with_source else None
    output = Output()
    if as_json:
        output.json(_document(old, new, diff, code))
        return
    output.line(f"{dag_id}: version {old.number} -> version {new.number}")
    for line in _lines(diff):
        output.line(line)
    if diff == SpecDiff():
        output.line("the structure is the same")
    for line in (line for _, text in code or () for line in text.splitlines()):
        output.line(line)
    if code == []:
        output.line("the code is the same")
    for sentence in open_elsewhere(versions):
        output.line(sentence)


def _sides(
    dag_id: str, versions: list[Version], before: int | None, after: int | None, *, with_source: bool
) -> Sides:
    current = next((version for version in versions if version.is_current), versions[-1])
    new = current if after is None else pick(versions, dag_id, after)
    if before is not None:
        return pick(versions, dag_id, before), new
    others = [version for version in versions if version is not new]
    if others:
        return next((version for version in reversed(others) if version.number < new.number), others[-1]), new
    if with_source and len(new.revisions) > 1:
        return new, new
    hint = "; --source compares revisions of its code" if len(new.revisions) > 1 else ""
    raise BadInput(f"DAG {dag_id!r} has one version only, so there is nothing to compare{hint}")


def _revisions(dag_id: str, old: Version, new: Version) -> tuple[Revision, Revision]:
    """Return the newest revisions of both; of one and the same version, the two newest ones."""
    for version in (old, new):
        if not version.revisions:
            raise BadInput(f"the code of version {version.number} of DAG {dag_id!r} was not stored")
    if old is new:
        return new.revisions[-2 if len(new.revisions) > 1 else -1], new.revisions[-1]
    return _newest(old), _newest(new)


def _newest(version: Version) -> Revision:
    current = (one for one in version.revisions if one.source_rev == version.current_rev)
    return next(current, version.revisions[-1])


def _code(tx: ReadTx, old: Revision, new: Revision) -> Iterator[tuple[str, str]]:
    """Yield (path, unified diff or a sentence) of every source that differs."""
    for path in sorted(old.sources.keys() | new.sources.keys()):
        digests = (old.sources.get(path, MISSING), new.sources.get(path, MISSING))
        if digests[0] != digests[1]:
            yield path, _file_diff(tx, path, digests, (old.source_rev, new.source_rev))


def _file_diff(tx: ReadTx, path: str, digests: tuple[str, str], revisions: tuple[str, str]) -> str:
    contents = [b"" if digest == MISSING else content_of(tx, digest) for digest in digests]
    if None in contents:
        return f"{path} differs; it is not stored"
    try:
        texts = [(content or b"").decode() for content in contents]
    except UnicodeDecodeError:
        return f"binary file {path} differs"
    if any("\0" in text for text in texts):
        return f"binary file {path} differs"
    names = [f"{path} ({revision[:SHORT]})" for revision in revisions]
    before, after = (text.splitlines() for text in texts)
    return "\n".join(unified_diff(before, after, names[0], names[1], lineterm=""))


def _lines(diff: SpecDiff) -> Iterator[str]:
    yield from (f"dag {name}: {_text(old)} -> {_text(new)}" for name, (old, new) in diff.dag.items())
    yield from (f"+ task {task_id}" for task_id in diff.added)
    yield from (f"- task {task_id}" for task_id in diff.removed)
    for task_id, changes in diff.changed.items():
        yield f"~ task {task_id}"
        yield from (f"    {name}: {_text(old)} -> {_text(new)}" for name, (old, new) in changes.items())
    yield from (f"+ edge {upstream} -> {task_id}" for upstream, task_id in diff.edges_added)
    yield from (f"- edge {upstream} -> {task_id}" for upstream, task_id in diff.edges_removed)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _document(
    old: Version, new: Version, diff: SpecDiff, code: list[tuple[str, str]] | None
) -> dict[str, Any]:
    def both(changes: Any) -> dict[str, Any]:
        return {name: {"from": was, "to": now} for name, (was, now) in changes.items()}

    document = {
        "from": old.number,
        "to": new.number,
        "dag": both(diff.dag),
        "tasks_added": diff.added,
        "tasks_removed": diff.removed,
        "tasks_changed": {task_id: both(changes) for task_id, changes in diff.changed.items()},
        "edges_added": diff.edges_added,
        "edges_removed": diff.edges_removed,
        "open_runs": {"from": old.open_runs, "to": new.open_runs},
    }
    return document if code is None else document | {"source": dict(code)}
