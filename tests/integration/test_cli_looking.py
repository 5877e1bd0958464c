"""The commands that look: what they print of a home whose runs were made by a stand-in worker."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from tests.integration.harness import Engine, spec_of

from orch.cli.main import cli
from orch.cli.output import cell_text
from orch.clock import from_micros
from orch.domain.dagspec import DagSpec, RetrySpec, TaskSpec
from orch.settings import SETTINGS
from orch.worker.logs import AttemptLog, attempt_log_path


@pytest.fixture
def engine(tmp_path, monkeypatch):
    for setting in SETTINGS:
        for variable in setting.variables:
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    engine = Engine.create(tmp_path / "home")
    engine.add_dag(spec_of({"a": "", "b": "a", "c": "b"}, "chain"))
    yield engine
    engine.check()
    engine.store.close()


def orch(engine, *args):
    return CliRunner().invoke(cli, [*args, "--home", str(engine.settings.core.home)])


def lines(engine, *args):
    result = orch(engine, *args)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def document(engine, *args):
    result = orch(engine, *args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def fail_b(engine):
    engine.trigger("chain")
    engine.run(lambda claim: "failed" if claim.task_id == "b" else "success")


def test_status_prints_the_tasks_in_the_order_of_the_graph(engine):
    fail_b(engine)
    head, columns, *rows = lines(engine, "status", "chain")
    assert head.startswith("chain manual__1  failed  took ")
    assert columns.split() == ["task", "state", "try", "started", "took", "reason"]
    assert [row.split()[:2] for row in rows] == [["a", "success"], ["b", "failed"], ["c", "upstream_failed"]]


def test_status_without_a_run_is_the_newest_one(engine):
    fail_b(engine)
    engine.trigger("chain", "newest")
    assert document(engine, "status", "chain")["run_id"] == "newest"
    assert document(engine, "status", "chain", "manual__1")["run_id"] == "manual__1"


def test_status_of_a_task_at_a_limit_says_which(engine):
    engine.add_dag(DagSpec("narrow", (TaskSpec("t1", "Test"), TaskSpec("t2", "Test")), max_active_tasks=1))
    engine.trigger("narrow")
    engine.scheduler.run_once()
    tasks = document(engine, "status", "narrow")["tasks"]
    assert {task["reason"] for task in tasks} == {"awaiting_worker", "max_active_tasks"}


def test_list_runs_is_newest_first_and_obeys_its_limit(engine):
    for name in ("one", "two", "three"):
        engine.trigger("chain", name)
    assert [run["run_id"] for run in document(engine, "list-runs", "chain")] == ["three", "two", "one"]
    assert [run["run_id"] for run in document(engine, "list-runs", "chain", "--limit", "1")] == ["three"]
    assert [line.split()[0] for line in lines(engine, "list-runs", "chain")] == [
        "run_id",
        "three",
        "two",
        "one",
    ]


def test_list_dags_without_a_dags_folder_shows_what_is_registered(engine):
    assert [dag["dag_id"] for dag in document(engine, "list-dags")] == ["chain"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("status", "chian"), "unknown DAG 'chian'; did you mean 'chain'?"),
        (("status", "chain", "manual__9"), "has no run 'manual__9'; did you mean 'manual__1'?"),
        (("list-runs", "nothing-like-it"), "`orch list-dags` shows the known ones"),
        (("show", "chain", "zzz"), "`orch list-runs chain` shows its runs"),
        (("why", "chain", "q"), "`orch status chain manual__1` shows its tasks"),
        (("task-log", "chain", "a", "--try", "7"), "has no try 7; its newest is 1"),
        (("task-log", "chain", "c"), "has not started yet; `orch why chain c --run manual__1` says why"),
        (("task-log", "chain", "a", "--map-index", "1"), "not mapped; leave --map-index out"),
    ],
)
def test_what_is_not_there_is_bad_input_with_a_remedy(engine, args, message):
    fail_b(engine)
    result = orch(engine, *args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_show_draws_the_states_of_the_run(engine):
    fail_b(engine)
    text = "\n".join(lines(engine, "show", "chain"))
    for name, state in (("a", "success"), ("b", "failed"), ("c", "upstream_failed")):
        assert name in text
        assert state in text


def test_show_as_json_has_the_graph_and_the_states(engine):
    assert document(engine, "show", "chain")["tasks"][1]["state"] is None
    fail_b(engine)
    shown = document(engine, "show", "chain")
    assert [(task["task_id"], task["upstream"], task["state"]) for task in shown["tasks"]] == [
        ("a", [], "success"),
        ("b", ["a"], "failed"),
        ("c", ["b"], "upstream_failed"),
    ]
    assert (shown["run_id"], shown["state"]) == ("manual__1", "failed")


def test_a_running_task_shows_since_when(engine):
    engine.trigger("chain")
    engine.scheduler.run_once()
    engine.execution.claim(engine.worker, ["LocalExecutor"], 1)
    (running,) = [task for task in document(engine, "status", "chain")["tasks"] if task["state"] == "running"]
    assert running["started_at"] is not None


def test_show_draws_a_dag_that_has_not_run(engine):
    text = "\n".join(lines(engine, "show", "chain"))
    assert "success" not in text
    assert "a" in text


def test_why_names_the_failed_task_and_who_waits_for_it(engine):
    fail_b(engine)
    answers = {answer["task_id"]: answer for answer in document(engine, "why", "chain")}
    assert set(answers) == {"b", "c"}
    assert (answers["c"]["reason"], answers["c"]["blocking"]) == ("upstream_failed", ["b"])
    assert answers["b"]["state"] == "failed"
    assert all(answer["sentence"] and answer["remedy"] and answer["since"] for answer in answers.values())


def test_why_shows_the_error_and_how_to_read_the_log(engine):
    fail_b(engine)
    told = lines(engine, "why", "chain")
    assert "    failed on purpose" in told
    assert "    log: orch task-log chain b --run manual__1" in told
    answers = {answer["task_id"]: answer["detail"] for answer in document(engine, "why", "chain")}
    assert answers == {"b": "failed on purpose", "c": None}


def test_why_of_a_skip_shows_its_words_or_the_rule(engine):
    engine.trigger("chain")
    engine.run(lambda claim: "skipped" if claim.task_id == "b" else "success")
    answers = {answer["task_id"]: answer["detail"] for answer in document(engine, "why", "chain")}
    assert answers == {"b": "skipped on purpose", "c": "trigger rule all_success"}
    told = lines(engine, "why", "chain", "c")
    assert "    trigger rule all_success" in told
    assert not any("task-log" in line for line in told)


def test_an_empty_list_of_dags_names_the_folder(engine):
    with engine.store.write("register_dags") as tx:
        tx.many("UPDATE dag SET is_missing = ? WHERE dag_id = ?", [(True, "chain")])
    assert lines(engine, "list-dags") == [f"no DAGs in {engine.settings.core.dags_folder}"]
    assert document(engine, "list-dags") == []


def test_why_begins_with_the_scheduler_that_is_missing(engine):
    engine.trigger("chain")
    first, *_ = document(engine, "why", "chain")
    assert (first["task_id"], first["reason"]) == (None, "no_live_scheduler")
    assert "orch up" in first["remedy"]


def test_why_of_a_queued_task_without_any_worker_says_so(engine):
    engine.trigger("chain")
    engine.scheduler.run_once()
    engine.execution.release(engine.worker)
    answers = {answer["task_id"]: answer["reason"] for answer in document(engine, "why", "chain", "a")}
    assert answers["a"] == "no_live_worker"


def test_why_follows_the_past_to_the_failed_task_and_fills_in_the_command(engine):
    tasks = (TaskSpec("get", "Test"), TaskSpec("load", "Test", ("get",), depends_on_past=True))
    engine.add_dag(DagSpec("past", tasks))
    for day in (1, 2, 3):
        engine.trigger("past", f"r{day}", logical_date=datetime(2023, 12, day, 6, tzinfo=UTC))
    engine.run(lambda claim: "failed" if claim.task_id == "load" else "success")
    (answer,) = document(engine, "why", "past", "load", "--run", "r3")[-1:]
    assert (answer["reason"], answer["blocking"]) == ("depends_on_past", ["past r2 load"])
    assert answer["detail"] == "held by: past r1 load (failed)"
    assert "`orch trigger past --logical-date 2023-12-01T06:00:00" in answer["remedy"]
    assert any(
        "orch trigger past --logical-date 2023-12-01T06:00:00" in line
        for line in lines(engine, "why", "past")
    )


def test_why_names_the_failed_task_upstream_of_the_one_in_the_run_before(engine):
    tasks = (TaskSpec("get", "Test"), TaskSpec("load", "Test", ("get",), depends_on_past=True))
    engine.add_dag(DagSpec("past", tasks))
    engine.trigger("past", "r1", logical_date=datetime(2023, 12, 1, tzinfo=UTC))
    engine.run(lambda _: "failed")
    engine.trigger("past", "r2", logical_date=datetime(2023, 12, 2, tzinfo=UTC))
    engine.run()
    assert document(engine, "why", "past", "load")[-1]["detail"] == "held by: past r1 get (failed)"


def test_why_of_a_task_held_by_a_running_one_says_to_wait(engine):
    engine.add_dag(DagSpec("past", (TaskSpec("load", "Test", depends_on_past=True),)))
    for day in (1, 2):
        engine.trigger("past", f"r{day}", logical_date=datetime(2023, 12, day, tzinfo=UTC))
    engine.scheduler.run_once()
    answer = document(engine, "why", "past", "load", "--run", "r2")[-1]
    assert (answer["detail"], answer["remedy"]) == ("held by: past r1 load (queued)", "Wait for it.")


def test_why_and_status_of_a_run_that_has_not_begun_say_so_for_its_tasks(engine):
    engine.trigger("chain")
    with engine.store.write("register_dags") as tx:
        tx.many("UPDATE dag SET is_paused = ? WHERE dag_id = ?", [(True, "chain")])
    answer = document(engine, "why", "chain", "a")[-1]
    assert (answer["reason"], answer["detail"]) == ("run_not_begun", "The DAG is paused.")
    assert document(engine, "status", "chain")["tasks"][0]["reason"] == "run_not_begun"


def test_why_of_a_retry_says_when_it_is_due(engine):
    engine.add_dag(spec_of({"t": ""}, "again", retry=RetrySpec(1, delay_seconds=300)))
    engine.trigger("again")
    engine.run(lambda _: "failed")
    (answer,) = [answer for answer in document(engine, "why", "again") if answer["task_id"]]
    due_at = engine.value("SELECT due_at FROM task_instance WHERE state = 'up_for_retry'")
    assert answer["detail"] == f"next try due at {cell_text(from_micros(due_at))}; failed on purpose"
    assert "clear" not in answer["remedy"]


def test_why_tells_alike_answers_once(engine):
    engine.add_dag(spec_of({"root": "", **{f"t{n:02}": "root" for n in range(30)}}, "fan"))
    engine.trigger("fan")
    told = lines(engine, "why", "fan")
    (line,) = [line for line in told if "upstream_not_done" in line]
    assert "t00" in line
    assert "and 22 more" in line
    assert "    blocked by: root" in told


def test_why_of_a_finished_run_says_that_nothing_waits(engine):
    engine.trigger("chain")
    engine.run()
    assert lines(engine, "why", "chain")[-1] == "  nothing waits"
    assert document(engine, "why", "chain") == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "nothing is scheduled. Create one with `orch trigger other`."),
        ({"schedule": "0 5 * * *"}, "the first one is due at 20"),
    ],
)
def test_why_of_a_dag_without_runs_says_when_one_comes(engine, values, message):
    engine.add_dag(DagSpec("other", (TaskSpec("t", "Test"),), **values))
    assert message in lines(engine, "why", "other")[0]
    assert document(engine, "why", "other") == []


def write_log(engine, task_id, try_number, epoch, text):
    name = attempt_log_path("chain", "manual__1", task_id, -1, try_number, epoch)
    log = AttemptLog(engine.settings.core.logs_folder, name, 10_000, engine.clock)
    log.feed("stdout", text.encode())
    log.feed("stderr", b"careful\n")
    log.note("ended")
    log.close("success")


def test_task_log_prints_time_stream_and_text(engine):
    fail_b(engine)
    write_log(engine, "a", 1, 1, "hello\x1b[2J\n")
    told = lines(engine, "task-log", "chain", "a")
    assert [line.split(" ", 1)[1] for line in told] == ["hello", "[stderr] careful", "[orch] ended"]
    assert told[0].startswith("12:00:00.0")


def test_task_log_as_json_is_one_object_per_line(engine):
    fail_b(engine)
    write_log(engine, "a", 1, 1, "hello\n")
    entries = [json.loads(line) for line in lines(engine, "task-log", "chain", "a", "--json")]
    assert [entry["text"] for entry in entries] == ["hello", "careful", "ended"]
    assert set(entries[0]) == {"at", "stream", "text"}


def test_task_log_of_a_deleted_file_says_so(engine):
    fail_b(engine)
    (line,) = lines(engine, "task-log", "chain", "a")
    assert "is not there" in line


def test_task_log_follow_ends_with_the_task(engine):
    fail_b(engine)
    write_log(engine, "a", 1, 1, "hello\n")
    assert len(lines(engine, "task-log", "chain", "a", "--follow")) == 3


def test_verify_finds_nothing_and_then_something(engine):
    fail_b(engine)
    assert lines(engine, "db", "verify") == ["all invariants hold"]
    with engine.store.write("register_dags") as tx:
        tx.many("UPDATE task_instance SET state = 'success' WHERE task_id = ?", [("b",)])
    result = orch(engine, "db", "verify", "--json")
    assert result.exit_code == 1
    assert {"I1"} <= {finding["invariant"] for finding in json.loads(result.stdout)}
    with engine.store.write("register_dags") as tx:
        tx.many("UPDATE task_instance SET state = 'failed' WHERE task_id = ?", [("b",)])


def test_migrate_check_and_history_agree(engine):
    assert "already" in lines(engine, "db", "migrate")[0]
    assert "fits" in lines(engine, "db", "check")[0]
    assert all(revision["is_applied"] for revision in document(engine, "db", "history"))


def test_downgrade_asks_first(engine):
    result = CliRunner().invoke(
        cli, ["db", "downgrade", "base", "--home", str(engine.settings.core.home)], input="n\n"
    )
    assert result.exit_code == 130
    assert "fits" in lines(engine, "db", "check")[0]


def test_downgrade_to_an_unknown_revision_is_bad_input(engine):
    result = orch(engine, "db", "downgrade", "0815", "--yes")
    assert result.exit_code == 2
    assert "unknown revision '0815'" in result.stderr
