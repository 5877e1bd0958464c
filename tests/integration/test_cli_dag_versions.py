"""`orch dags versions` and `orch dags diff`: what they print of stored structures and code."""

import json

import pytest
from click.testing import CliRunner
from tests.integration.harness import Engine

from orch.cli.main import cli
from orch.domain.dagspec import DagSpec, TaskSpec
from orch.domain.sources import bundle_text, content_hash, digest_bytes, digest_text
from orch.settings import SETTINGS
from orch.store.queries import bundles, registration
from orch.store.queries.bundles import TakenBundle
from orch.store.queries.dag_files import ParsedDag, ParsedFile

A = TaskSpec("a", "PythonOperator")
B = TaskSpec("b", "PythonOperator", ("a",))


@pytest.fixture
def engine(tmp_path, monkeypatch):
    for setting in SETTINGS:
        for variable in setting.variables:
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    engine = Engine.create(tmp_path / "home")
    yield engine
    engine.check()
    engine.store.close()


def register(engine, *tasks, dag_id="x", is_stored=True, **contents):
    """Register a DAG as its file was imported together with some contents."""
    contents = {name.replace("__", "."): content for name, content in contents.items()}
    digests = {path: digest_bytes(content) for path, content in contents.items()}
    text = bundle_text(digests)
    bundle = TakenBundle(digest_text(text), text, digests)
    dag = ParsedDag.of(DagSpec(dag_id, tasks, schedule="@daily" if len(tasks) > 1 else None))
    file = ParsedFile("x.py", content_hash(digests), "", tuple(digests), (dag,), digests=digests)
    engine.clock.advance(seconds=60)
    with engine.store.write("register_dags") as tx:
        bundles.put_blobs(tx, {digests[path]: content for path, content in contents.items()})
        registration.register_files(tx, [file], bundle if is_stored else None)


def orch(engine, *args):
    return CliRunner().invoke(cli, ["dags", *args, "--home", str(engine.settings.core.home)])


def lines(engine, *args):
    result = orch(engine, *args)
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def document(engine, *args):
    return json.loads(orch(engine, *args, "--json").stdout)


def test_versions_come_with_their_revisions_runs_and_the_current_one(engine):
    register(engine, A, x__py=b"one")
    engine.trigger("x", "open")
    register(engine, A, x__py=b"two")
    register(engine, A, B, x__py=b"three")
    head, first, second, gap, revisions, *rows, rest = lines(engine, "versions", "x")
    assert head == "version since structure tasks schedule runs open new runs"
    assert first.split()[0] == "1"
    assert first.endswith("1 1 1")
    assert second.endswith("2 @daily 0 get it")
    assert (gap, revisions) == ("", "revision version since file code new runs")
    assert [row.split()[1] for row in rows] == ["1", "1", "2"]
    assert [row.endswith("x.py stored get it") for row in rows] == [False, False, True]
    assert rest == "1 run of version 1 is not over, and will end with the code of that version"


def test_versions_as_json(engine):
    register(engine, A, x__py=b"one", is_stored=False)
    (version,) = document(engine, "versions", "x")
    assert (version["version"], version["tasks"], version["runs"], version["is_current"]) == (1, 1, 0, True)
    (revision,) = version["revisions"]
    assert (revision["file"], revision["is_stored"], revision["is_current"]) == ("x.py", False, True)


def test_diff_is_of_the_version_before_and_the_current_one(engine):
    register(engine, A, B, x__py=b"one")
    register(engine, TaskSpec("a", "BashOperator"), TaskSpec("c", "PythonOperator", ("a",)), x__py=b"two")
    assert lines(engine, "diff", "x") == [
        "x: version 1 -> version 2",
        "+ task c",
        "- task b",
        "~ task a",
        'operator: "PythonOperator" -> "BashOperator"',
        "+ edge a -> c",
        "- edge a -> b",
    ]
    assert document(engine, "diff", "x", "2", "1")["tasks_added"] == ["b"]


def test_diff_of_the_dag_itself(engine):
    register(engine, A, x__py=b"one")
    register(engine, A, B, x__py=b"two")
    assert document(engine, "diff", "x")["dag"] == {"schedule": {"from": None, "to": "@daily"}}


def test_diff_of_the_code_shows_lines_and_only_names_what_is_not_text(engine):
    register(engine, A, x__py=b"one\nsame\n", bin__dat=b"\xff\xfe", gone__py=b"old\n")
    register(engine, A, B, x__py=b"two\nsame\n", bin__dat=b"\xff\xff")
    shown = lines(engine, "diff", "x", "--source")
    assert "binary file bin.dat differs" in shown
    assert [line for line in shown if line in ("-one", "+two", "same", "-old")] == [
        "-old",
        "-one",
        "+two",
        "same",
    ]
    assert set(document(engine, "diff", "x", "--source")["source"]) == {"bin.dat", "gone.py", "x.py"}


def test_diff_of_two_revisions_of_one_version(engine):
    register(engine, A, x__py=b"one\n")
    register(engine, A, x__py=b"two\n")
    shown = lines(engine, "diff", "x", "--source")
    assert shown[:2] == ["x: version 1 -> version 1", "the structure is the same"]
    assert {"-one", "+two"} <= set(shown)
    refused = orch(engine, "diff", "x")
    assert "x' has one version only" in refused.stderr
    assert "--source compares revisions" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("versions", "y"), "unknown DAG 'y'"),
        (("diff", "y"), "unknown DAG 'y'"),
        (("diff", "x"), "DAG 'x' has one version only, so there is nothing to compare"),
        (("diff", "x", "7"), "DAG 'x' has no version 7; it has version 1 only"),
        (("diff", "x", "1", "3"), "DAG 'x' has no version 3; it has version 1 only"),
    ],
)
def test_what_is_not_there_is_named(engine, arguments, words):
    register(engine, A, x__py=b"one")
    refused = orch(engine, *arguments)
    assert refused.exit_code == 2
    assert words in refused.stderr


def test_code_that_was_never_stored_is_named(engine):
    engine.add_dag(DagSpec("x", (A,)))
    refused = orch(engine, "diff", "x", "1", "1", "--source")
    assert (refused.exit_code, "the code of version 1 of DAG 'x' was not stored" in refused.stderr) == (
        2,
        True,
    )
