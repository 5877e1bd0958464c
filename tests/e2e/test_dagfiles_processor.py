"""The DAG processor with a real stem and database: files in, DAGs and import errors out."""

import errno
import logging
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from watchdog.observers import Observer

from orch.dagfiles.processor import DagProcessor, ScanReport
from orch.failpoints import FailpointError, Failpoints
from orch.hints import HintSocket
from orch.plugins import Plugins
from orch.processes import StopSignal
from orch.settings import load_settings
from orch.store import migrate
from orch.store.engine import Store
from orch.store.queries import processes
from orch.store.queries.processes import ProcessInfo

pytestmark = pytest.mark.e2e

WAIT = 30.0


def dag_text(dag_id: str, tasks: str = "t()") -> str:
    return f"from orch import DAG, task\n@task\ndef t(): ...\nwith DAG({dag_id!r}):\n    {tasks}\n"


CYCLE = "a, b = t(), t(); a >> b >> a"


class Site:
    """A home with a dags folder, and processors that come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dags = folder / "dags"
        self.dags.mkdir()
        environ = {"ORCH_DAGS": str(self.dags), "ORCH_DAGFILES_POLL_SECONDS": "0.05"}
        self.settings = load_settings(folder / "home", environ)
        migrate.upgrade(self.settings.database.url)
        self.store = Store.open(self.settings.database.url)
        self.processor = self.new_processor()

    def new_processor(self) -> DagProcessor:
        return DagProcessor(self.settings, self.store, Plugins())

    @contextmanager
    def processor_of_its_own(self, failpoints: Failpoints | None = None) -> Iterator[DagProcessor]:
        """Make a processor with its own connection, as another process has."""
        url = self.settings.database.url
        with (
            closing(Store.open(url, busy_timeout_seconds=0.1, failpoints=failpoints)) as store,
            closing(DagProcessor(self.settings, store, Plugins())) as processor,
        ):
            yield processor

    def poll_every(self, seconds: float) -> None:
        self.settings = replace(self.settings, dagfiles=replace(self.settings.dagfiles, poll_seconds=seconds))

    def write(self, path: str, text: str) -> None:
        (self.dags / path).parent.mkdir(parents=True, exist_ok=True)
        (self.dags / path).write_text(text)

    def scan(self) -> ScanReport:
        return self.processor.run_once()

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with self.store.read() as tx:
            return tx.rows(sql)

    def dags_by_id(self) -> dict[object, object]:
        return dict(self.rows("SELECT dag_id, CASE WHEN is_missing THEN 'missing' ELSE file END FROM dag"))  # type: ignore[arg-type]  # pairs

    def errors(self) -> list[tuple[object, ...]]:
        return self.rows("SELECT path, line, message FROM import_error ORDER BY path, id")

    def close(self) -> None:
        self.processor.close()
        self.store.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_folder_becomes_dags_and_import_errors(site: Site) -> None:
    site.write("good.py", dag_text("good"))
    site.write("team/more.py", dag_text("more"))
    site.write("bad.py", "import orch\n1 / 0\n")
    site.write("helper.py", "x = 1\n")
    report = site.scan()
    assert site.dags_by_id() == {"good": "good.py", "more": "team/more.py"}
    assert site.errors() == [("bad.py", 2, "ZeroDivisionError: division by zero")]
    assert (report.found, report.skipped, sorted(report.imported)) == (
        4,
        1,
        ["bad.py", "good.py", "team/more.py"],
    )
    assert sorted(report.changed_dags) == ["good", "more"]
    assert list(report.problems) == ["bad.py"]


def test_unchanged_files_are_not_imported_again_not_even_after_a_restart(site: Site) -> None:
    site.write("a.py", dag_text("a"))
    site.scan()
    assert site.scan().imported == []
    site.processor.close()
    site.processor = site.new_processor()
    assert site.scan().imported == []


def test_one_invalid_dag_keeps_all_dags_of_its_file_as_they_were(site: Site) -> None:
    site.write("a.py", dag_text("x"))
    site.scan()
    before = site.rows("SELECT * FROM dag_version")
    site.write("a.py", dag_text("x", "t(); t()") + dag_text("y", CYCLE))
    site.scan()
    assert site.errors() == [("a.py", 9, "DAG 'y' has a cycle: t -> t__1 -> t; remove one of these edges")]
    assert (site.rows("SELECT * FROM dag_version"), site.dags_by_id()) == (before, {"x": "a.py"})
    site.write("a.py", dag_text("x", "t(); t()"))
    site.scan()
    assert (site.errors(), len(site.rows("SELECT * FROM dag_version"))) == ([], 2)


def test_second_file_with_a_dag_id_is_refused_until_the_first_gives_it_up(site: Site) -> None:
    site.write("a.py", dag_text("x"))
    site.write("b.py", dag_text("x"))
    site.scan()
    message = "DAG 'x' is declared in a.py and in b.py; a.py keeps it: give the one in b.py another id"
    assert (site.errors(), site.dags_by_id()) == ([("b.py", None, message)], {"x": "a.py"})
    site.write("a.py", dag_text("y"))
    site.scan()
    site.scan()
    assert (site.errors(), site.dags_by_id()) == ([], {"x": "b.py", "y": "a.py"})


def test_of_two_new_files_the_first_by_path_has_the_dag_however_long_its_import_takes(site: Site) -> None:
    slow = "import time\nuntil = time.monotonic() + 1.0\nwhile time.monotonic() < until: ...\n"
    site.write("a.py", slow + dag_text("x"))
    site.write("b.py", dag_text("x"))
    site.write("c.py", dag_text("y"))
    report = site.processor.run_once()
    assert site.rows("SELECT dag_id, file FROM dag ORDER BY dag_id") == [("x", "a.py"), ("y", "c.py")]
    assert "a.py keeps it" in report.problems["b.py"][0].message
    assert report.imported[0] == "c.py"  # a file that claims something else waits for nobody


def test_renamed_file_keeps_its_dag_without_a_gap(site: Site) -> None:
    site.write("a.py", dag_text("x"))
    site.scan()
    (site.dags / "a.py").rename(site.dags / "b.py")
    report = site.scan()
    assert (report.gone, site.dags_by_id()) == (["a.py"], {"x": "b.py"})
    assert site.rows("SELECT COUNT(*) FROM dag_version") == [(1,)]


def test_dag_of_a_deleted_file_is_missing_and_comes_back(site: Site) -> None:
    site.write("a.py", dag_text("x"))
    site.scan()
    (site.dags / "a.py").unlink()
    assert site.scan().changed_dags == ["x"]
    assert site.dags_by_id() == {"x": "missing"}
    site.write("a.py", dag_text("x"))
    site.scan()
    assert site.dags_by_id() == {"x": "a.py"}


def test_no_dag_is_missing_while_the_folder_cannot_be_read(site: Site) -> None:
    site.write("a.py", dag_text("x"))
    site.scan()
    site.dags.rename(site.dags.with_name("away"))
    report = site.scan()
    assert (len(report.unseen), site.dags_by_id()) == (1, {"x": "a.py"})


def test_dag_without_limits_of_its_own_follows_the_settings_also_after_a_restart(site: Site) -> None:
    site.write("a.py", dag_text("x"))
    for most in (3, 5):
        site.settings = replace(site.settings, core=replace(site.settings.core, max_active_runs_per_dag=most))
        site.processor.close()
        site.processor = site.new_processor()
        site.scan()
        assert site.rows("SELECT size FROM limit_row WHERE kind = 'dag_runs' AND name = 'x'") == [(most,)]


def test_unknown_executor_is_an_import_error(site: Site) -> None:
    site.write("a.py", dag_text("x").replace("@task", "@task(executor='CeleryExecutor')"))
    site.scan()
    message = "task 't' of DAG 'x': unknown executor 'CeleryExecutor'; orch_celery is part of orch-celery"
    ((path, line, text),) = site.errors()
    assert (path, line, text) == ("a.py", None, f"{message}, which comes in a later release of orch")


def test_file_with_very_many_dags_is_registered_in_parts(site: Site) -> None:
    site.write("a.py", "from orch import DAG\nfor n in range(450):\n    DAG(f'd{n:03}')\n")
    failpoints = Failpoints({"register_dags.after_commit": "error"})
    for stored in (0, 200):  # the first transaction stores the file itself
        with site.processor_of_its_own(failpoints) as processor, pytest.raises(FailpointError):
            processor.run_once()
        assert len(site.dags_by_id()) == stored
    report = site.scan()
    assert (len(report.changed_dags), len(site.dags_by_id())) == (250, 450)


def test_failed_registration_is_repeated_by_the_next_processor(site: Site) -> None:
    site.write("a.py", dag_text("x"))
    failpoints = Failpoints({"register_dags.before_commit": "error"})
    with site.processor_of_its_own(failpoints) as processor, pytest.raises(FailpointError):
        processor.run_once()
    assert site.dags_by_id() == {}
    site.scan()
    assert site.dags_by_id() == {"x": "a.py"}


def test_dag_that_the_database_refuses_keeps_out_no_other(site: Site) -> None:
    with site.store.write("register_dags") as tx:
        tx.conn.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON dag WHEN NEW.dag_id = 'bad'"
            " BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
    for dag_id in ("a_good", "bad", "more"):
        site.write(f"{dag_id}.py", dag_text(dag_id))
    site.scan()
    assert site.dags_by_id() == {"a_good": "a_good.py", "more": "more.py"}
    ((path, _, message),) = site.errors()
    assert path == "bad.py"
    assert message == "its DAGs cannot be stored: the database refused a row: not this one"


class Running:
    """A processor in a thread, and a scheduler's hint socket that shows when it has registered something."""

    def __init__(self, site: Site, processor: DagProcessor, hints: HintSocket) -> None:
        self.site = site
        self.hints = hints
        self.stop = StopSignal(signals=())
        self.thread = threading.Thread(target=processor.run, args=(self.stop,), daemon=True)
        self.thread.start()

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; look at it when the processor wakes the scheduler."""
        while not holds():
            ready, _, _ = select.select([self.hints], [], [], WAIT)
            assert ready, "the processor did not report a change in time"
            self.hints.drain()


@contextmanager
def running(site: Site) -> Iterator[Running]:
    """Start a processor as `orch up` does; it must end when it is told to."""
    with closing(HintSocket(site.folder / "s.sock")) as hints, site.processor_of_its_own() as processor:
        info = ProcessInfo("scheduler-1", "scheduler", "host", "", 1, None, hints.address, 0, 60.0)
        with site.store.write("register_process") as tx:
            processes.register(tx, info)
        made = Running(site, processor, hints)
        try:
            yield made
        finally:
            made.stop.set()
            made.thread.join(WAIT)
        assert not made.thread.is_alive()


def follow_a_few_changes(site: Site) -> None:
    site.write("a.py", dag_text("x"))
    with running(site) as process:
        process.until(lambda: site.dags_by_id() == {"x": "a.py"})
        site.write("team/b.py", dag_text("y"))
        process.until(lambda: site.dags_by_id() == {"x": "a.py", "y": "team/b.py"})
        site.write("a.py", dag_text("z"))
        process.until(lambda: site.dags_by_id() == {"x": "missing", "y": "team/b.py", "z": "a.py"})
        (site.dags / "team/b.py").unlink()
        process.until(lambda: site.dags_by_id()["y"] == "missing")


def test_changes_are_seen_by_notification_alone(site: Site) -> None:
    site.poll_every(seconds=3600)
    follow_a_few_changes(site)


def test_changes_are_seen_by_polling_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_watches_left(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(Observer, "schedule", no_watches_left)
    follow_a_few_changes(site)


def test_dags_folder_may_appear_and_be_replaced_later(site: Site) -> None:
    site.dags.rmdir()
    with running(site) as process:
        other = site.folder / "other"
        other.mkdir()
        (other / "a.py").write_text(dag_text("x"))
        other.rename(site.dags)
        process.until(lambda: site.dags_by_id() == {"x": "a.py"})


def test_locked_database_is_waited_out(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    in_trouble = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "trying again" in record.getMessage():
                in_trouble.set()

    listener = Listener()
    logging.getLogger("orch.dagfiles").addHandler(listener)
    try:
        with running(site) as process:
            with site.store.write("create_run"):
                site.write("a.py", dag_text("x"))
                assert in_trouble.wait(WAIT)
            process.until(lambda: site.dags_by_id() == {"x": "a.py"})
    finally:
        logging.getLogger("orch.dagfiles").removeHandler(listener)
