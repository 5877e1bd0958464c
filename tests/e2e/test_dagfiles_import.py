"""Imports by a real stem: what good files bring, and that no file can hurt orch or another file."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orch.dagfiles.importer import Importer
from orch.dagfiles.requests import StemConfig
from orch.dagfiles.results import ImportProblem, ImportResult
from orch.domain.dagspec import DagSpec
from orch.plugins import KNOWN_PROVIDERS

pytestmark = pytest.mark.e2e

GOOD = """
from orch import DAG, task

@task
def hello(): ...

with DAG("good"):
    hello()
"""
TIMEOUT = 5.0
Import = Callable[..., ImportResult]


def config(folder: Path, timeout_seconds: float = TIMEOUT, memory_mb: int = 256) -> StemConfig:
    providers = {package: known.remedy for package, known in KNOWN_PROVIDERS.items()}
    return StemConfig(str(folder), timeout_seconds, memory_mb, (), providers)


@pytest.fixture
def importer(tmp_path: Path) -> Iterator[Importer]:
    with Importer(config(tmp_path)) as opened:
        yield opened


@pytest.fixture
def import_text(tmp_path: Path, importer: Importer) -> Import:
    """Write a file and import it; other files may be given by name."""

    def import_(text: str, **others: str) -> ImportResult:
        for name, content in {**others, "a": text}.items():
            (tmp_path / f"{name}.py").write_text(content)
        (result,) = importer.import_all(["a.py"])
        return result

    return import_


def quick(folder: Path, text: str) -> ImportProblem:
    """Import a text that needs longer than half a second."""
    (folder / "a.py").write_text(text)
    with Importer(config(folder, timeout_seconds=0.5)) as importer:
        (result,) = importer.import_all(["a.py"])
    return result.problems[0]


def test_good_file_brings_its_dags(import_text: Import) -> None:
    result = import_text(GOOD)
    assert result.problems == ()
    (dag,) = result.dags
    spec = DagSpec.from_json(dag.spec)
    assert (spec.dag_id, [task.task_id for task in spec.tasks]) == ("good", ["hello"])
    assert dag.structure_hash == spec.structure_hash


def test_file_sees_its_path_and_a_module_name_of_its_own(import_text: Import, tmp_path: Path) -> None:
    result = import_text("import orch\nraise ValueError(__file__, __name__)")
    assert f"{tmp_path}/a.py" in result.problems[0].message
    assert "'orch_dag_" in result.problems[0].message


def test_files_of_one_name_in_two_folders_do_not_meet(tmp_path: Path, importer: Importer) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text(f"from orch import DAG\nDAG({folder!r})")
    results = importer.import_all(["one/a.py", "two/a.py"])
    assert [dag.dag_id for result in results for dag in result.dags] == ["one", "two"]


BAD_FILES = [
    ("import orch\nx = (\n", 2, "SyntaxError: '(' was never closed"),
    (
        "import orch\nimport sys\nsys.exit(3)",
        3,
        "the file ended the interpreter (SystemExit 3) while being imported",
    ),
    ("import orch\n1 / 0", 2, "ZeroDivisionError: division by zero"),
    ("import orch\nraise KeyboardInterrupt", 2, "KeyboardInterrupt"),
    ("import orch\nx = bytearray(1 << 30)", 2, "needed more than 256 MB (dagfiles.import_memory_mb)"),
    (
        "import orch\nx = []\nwhile True:\n    x.append('a' * 4096)",
        4,
        "needed more than 256 MB (dagfiles.import_memory_mb)",
    ),
    (
        "import orch\nimport os\nos._exit(0)",
        None,
        "the file ended the process (exit code 0, as by os._exit) while being imported",
    ),
    (
        "import orch\nimport os\nos.kill(os.getpid(), 15)",
        None,
        "the process was killed by signal 15 (SIGTERM) while the file was being imported",
    ),
    (
        "from orch_celery import X",
        1,
        "No module named 'orch_celery'; orch_celery is part of orch-celery, which comes in a later release of orch",
    ),
    (
        "from orch_standart import X",
        1,
        "No module named 'orch_standart'; no provider of orch has this name; did you mean 'orch_standard'?",
    ),
    (
        "import orch\nfrom . import helper",
        2,
        "attempted relative import with no known parent package; the dags folder is on the import path: "
        "write the full name of the module",
    ),
    (
        "from orch import DAG, task\n@task(trigger_rule='all_sucess')\ndef t(): ...\nwith DAG('x'):\n    t()",
        5,
        "task 't' of DAG 'x': unknown trigger rule 'all_sucess'; did you mean 'all_success'?",
    ),
    (
        "from orch import DAG, task\n@task\ndef t(): ...\nwith DAG('x'):\n    a, b = t(), t()\n    a >> b >> a",
        4,
        "DAG 'x' has a cycle: t -> t__1 -> t; remove one of these edges",
    ),
]


@pytest.mark.parametrize(("text", "line", "message"), BAD_FILES, ids=[message for _, _, message in BAD_FILES])
def test_bad_file_is_explained(import_text: Import, text: str, line: int | None, message: str) -> None:
    (problem,) = import_text(text).problems
    assert (problem.line, problem.message) == (line, message)
    assert "orch/dagfiles" not in problem.traceback


def test_endless_loop_ends_with_its_line(tmp_path: Path) -> None:
    problem = quick(tmp_path, "import orch\nwhile True:\n    x = 1\n")
    assert problem.message == "import took longer than 0.5 s (dagfiles.import_timeout_seconds)"
    assert problem.line in (2, 3)
    assert problem.traceback.startswith("Traceback (most recent call last)")


def test_file_that_swallows_the_alarm_is_killed_and_its_line_known(tmp_path: Path) -> None:
    text = "import orch, signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True:\n    x = 1\n"
    problem = quick(tmp_path, text)
    assert problem.message == "import took longer than 0.5 s (dagfiles.import_timeout_seconds)"
    assert problem.line in (3, 4)


def test_file_that_ignores_every_signal_is_killed(tmp_path: Path) -> None:
    text = (
        "import orch, signal\nfor s in (6, 14, 15):\n    signal.signal(s, signal.SIG_IGN)\nwhile True: pass"
    )
    assert quick(tmp_path, text).message == "import took longer than 0.5 s (dagfiles.import_timeout_seconds)"


def test_file_that_prints_for_ever_is_ended(tmp_path: Path) -> None:
    problem = quick(tmp_path, "import orch\nwhile True:\n    print('x' * 65_000)\n")
    assert problem.message == "import took longer than 0.5 s (dagfiles.import_timeout_seconds)"


def test_crash_of_the_interpreter_is_named_with_its_line(import_text: Import) -> None:
    (problem,) = import_text("import orch\nimport ctypes\nctypes.string_at(0)").problems
    assert problem.line == 3
    assert problem.message.startswith("the process was killed by signal 11 (SIGSEGV)")
    assert "Fatal Python error: Segmentation fault" in problem.traceback
    assert "stem.py" not in problem.traceback


def test_file_that_is_not_utf8_is_a_syntax_error(tmp_path: Path, importer: Importer) -> None:
    (tmp_path / "a.py").write_bytes(b"import orch\nx = '\xff'\n")
    (result,) = importer.import_all(["a.py"])
    assert result.problems[0].line == 2
    assert "codec can't decode byte 0xff" in result.problems[0].message


def test_file_of_ten_megabytes_is_imported(import_text: Import) -> None:
    result = import_text(f"{GOOD}\nx = '{'a' * 10_000_000}'\n")
    assert ([dag.dag_id for dag in result.dags], result.problems) == (["good"], ())


def test_file_that_is_gone_is_explained(importer: Importer) -> None:
    (result,) = importer.import_all(["gone.py"])
    assert result.problems[0].message.startswith("FileNotFoundError")
    assert result.sources == {"gone.py": "missing"}


def test_all_problems_of_a_file_are_told_and_its_good_dags_too(import_text: Import) -> None:
    text = GOOD + "\n".join(
        f"with DAG('x{n}'):\n    a, b = hello(), hello()\n    a >> b >> a" for n in range(2)
    )
    result = import_text(text)
    assert [problem.line for problem in result.problems] == [9, 12]
    assert [dag.dag_id for dag in result.dags] == ["good"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "from airflow import DAG",
            "No module named 'airflow'; DAG files of orch import from orch: `from orch imp",
        ),
        (
            "from orch import BashOperator",
            "'BashOperator' is not in orch; write `from orch_standard import Bash",
        ),
        ("from orch import Dag", "did you mean 'DAG'?"),
        ("from orch.domain.dagspec import DagSpecs", "did you mean 'DagSpec'?"),
    ],
)
def test_import_of_a_wrong_name_says_which_is_right(import_text: Import, text: str, message: str) -> None:
    (problem,) = import_text(text).problems
    assert message in problem.message


OPERATOR = "from orch import PythonOperator\nPythonOperator(task_id='a', python_callable=print)\n"
FUNCTION = "from orch import dag\n@dag\ndef my_dag(): ...\n"


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (OPERATOR, "a.py declares no DAG: operator 'a' stands outside of a DAG: "),
        (FUNCTION, "a.py declares no DAG: call the function `my_dag()` at the end"),
    ],
)
def test_file_that_only_seems_to_declare_a_dag_is_a_finding(
    import_text: Import, text: str, finding: str
) -> None:
    result = import_text(text)
    assert (result.dags, result.problems) == ((), ())
    assert (result.finding or "").startswith(finding)


@pytest.mark.parametrize(
    "text", [FUNCTION + "my_dag()", OPERATOR + FUNCTION + "my_dag()", "x = 'dag'", "import b"]
)
def test_other_files_are_no_finding(import_text: Import, text: str) -> None:
    assert import_text(text, b=FUNCTION).finding is None


def test_traceback_shows_the_authors_frames_and_what_was_printed(import_text: Import) -> None:
    text = "import orch\nprint('loading')\ndef f():\n    raise RuntimeError('boom')\nf()"
    trace = import_text(text).problems[0].traceback
    assert "line 5, in <module>" in trace
    assert "line 4, in f" in trace
    assert trace.endswith("Output of the import:\nloading\n")
    assert "importlib" not in trace


def test_error_in_a_helper_points_to_the_line_that_imports_it(tmp_path: Path, import_text: Import) -> None:
    result = import_text("import orch\nimport helper", helper="def broken(:\n")
    (problem,) = result.problems
    assert problem.line == 2
    assert problem.message == f"SyntaxError: invalid syntax ({tmp_path}/helper.py, line 1)"
    assert list(result.sources) == ["a.py", "helper.py"]


def test_endless_output_is_capped(import_text: Import) -> None:
    text = "import orch\nfor n in range(100_000):\n    print('line', n)\nraise ValueError('end')"
    trace = import_text(text).problems[0].traceback
    assert "line 0\n" in trace
    assert "line 99999\n" in trace
    assert "bytes left out" in trace
    assert len(trace) < 40_000


def test_modules_data_and_listed_folders_are_sources(tmp_path: Path, import_text: Import) -> None:
    (tmp_path / "count.txt").write_text("")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/x.yaml").write_text("a: 1")
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg/__init__.py").write_text("")
    (tmp_path / "pkg/deep.py").write_text("import json, zipfile\n")
    text = (
        "from pathlib import Path\nimport orch, pkg.deep\nhere = Path(__file__).resolve().parent\n"
        "texts = [p.read_text() for p in here.glob('conf/*.yaml')]\ncount = here / 'count.txt'\n"
        "count.write_text(count.read_text() + '1')\n"
    )
    result = import_text(text)
    assert result.problems == ()
    assert list(result.sources) == ["a.py", "conf", "conf/x.yaml", "pkg/__init__.py", "pkg/deep.py"]


def test_edited_helper_runs_as_it_is_now(tmp_path: Path, import_text: Import) -> None:
    main = "from orch import DAG\nfrom helper import NAME\nDAG(NAME)\n"
    assert [dag.dag_id for dag in import_text(main, helper="NAME = 'old'\n").dags] == ["old"]
    stat = (tmp_path / "helper.py").stat()
    (tmp_path / "helper.py").write_text("NAME = 'new'\n")
    os.utime(tmp_path / "helper.py", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert [dag.dag_id for dag in import_text(main).dags] == ["new"]
    assert not (tmp_path / "__pycache__").exists()


def test_dag_of_an_imported_dag_file_stays_with_that_file(import_text: Import) -> None:
    result = import_text(f"import other\n{GOOD}", other="from orch import DAG\nDAG('other')\n")
    assert [dag.dag_id for dag in result.dags] == ["good"]


def test_one_import_leaves_nothing_to_the_next(tmp_path: Path, importer: Importer) -> None:
    (tmp_path / "a.py").write_text("import orch, os\norch.left = 1\nos.environ['LEFT'] = '1'\n")
    (tmp_path / "b.py").write_text(
        "import orch, os\nassert not hasattr(orch, 'left') and 'LEFT' not in os.environ\n"
    )
    assert [result.problems for result in importer.import_all(["a.py", "b.py"])] == [(), ()]


def test_database_address_is_hidden(import_text: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCH_DATABASE_URL", "sqlite:////secret")
    assert import_text("import orch, os\nassert 'ORCH_DATABASE_URL' not in os.environ\n").problems == ()


def test_bad_files_do_not_hold_up_good_ones(tmp_path: Path) -> None:
    (tmp_path / "a_loop.py").write_text("import orch\nwhile True: pass\n")
    for n in range(10):
        (tmp_path / f"b{n}.py").write_text(GOOD.replace("good", f"good{n}"))
    with Importer(config(tmp_path, timeout_seconds=TIMEOUT)) as importer:
        importer.submit(["a_loop.py", *(f"b{n}.py" for n in range(10))])
        began, results = time.monotonic(), list[ImportResult]()
        while len(results) < 10:
            results += importer.collect(TIMEOUT)
    assert time.monotonic() - began < TIMEOUT
    assert {result.path for result in results} == {f"b{n}.py" for n in range(10)}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_daemon_that_a_file_starts_ends_with_its_import(tmp_path: Path, import_text: Import) -> None:
    text = (
        "import orch, os, pathlib, time\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        pathlib.Path(__file__).with_name('pid.tmp').write_text(str(os.getpid()))\n"
        "        os.rename(pathlib.Path(__file__).with_name('pid.tmp'), pathlib.Path(__file__).with_name('pid'))\n"
        "        time.sleep(600)\n    os._exit(0)\n"
        "while not pathlib.Path(__file__).with_name('pid').exists(): pass\n"
    )
    assert import_text(text).problems == ()
    pid = int((tmp_path / "pid").read_text())
    import_text("import orch\n")  # the answer to it comes after the stem has looked for strangers
    assert not is_alive(pid)


def test_file_that_forks_is_imported_once(import_text: Import) -> None:
    text = f"import os\nchild = os.fork()\n{GOOD}\nif child: os.waitpid(child, 0)\n"
    result = import_text(text)
    assert (result.problems, [dag.dag_id for dag in result.dags]) == ((), ["good"])


def test_killed_stem_is_replaced_and_the_import_repeated(tmp_path: Path, importer: Importer) -> None:
    (tmp_path / "a.py").write_text(GOOD)
    importer.submit(["a.py"])
    importer.collect(0)
    assert importer.stem is not None
    os.kill(importer.stem.pid, signal.SIGKILL)
    results: list[ImportResult] = []
    while importer.is_busy:
        results += importer.collect(TIMEOUT)
    assert [(result.path, result.problems) for result in results] == [("a.py", ())]


def test_import_waits_while_no_process_can_be_started(
    tmp_path: Path, importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(*_args: object, **_kwargs: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    (tmp_path / "a.py").write_text(GOOD)
    importer.submit(["a.py"])
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", too_many)
        with pytest.raises(BlockingIOError):
            importer.collect(TIMEOUT)
    assert importer.is_busy
    assert [result.problems for result in importer.import_all([])] == [()]


def test_file_that_kills_the_stem_is_blamed_alone(tmp_path: Path, importer: Importer) -> None:
    (tmp_path / "a.py").write_text("import orch, os, time\nos.kill(os.getppid(), 9)\ntime.sleep(60)\n")
    (tmp_path / "b.py").write_text(f"import time\ntime.sleep(0.2)\n{GOOD}")
    results = importer.import_all(["a.py", "b.py"])
    assert [problem.message for problem in results[0].problems] == [
        "the process that imports DAG files died twice while it imported this file"
    ]
    assert results[1].problems == ()


def test_closing_the_importer_ends_imports_and_what_they_started(tmp_path: Path, importer: Importer) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "a.py").write_text(
        "import orch, subprocess\n"
        f"pipe = open({str(pipe)!r}, 'w')\n"
        "sleeper = subprocess.Popen(['sleep', '600'], stdout=pipe, start_new_session=True)\n"
        "print('started', file=pipe, flush=True)\n"
        "sleeper.wait()\n"
    )
    importer.submit(["a.py"])
    importer.collect(0)
    with pipe.open("rb", buffering=0) as reader:
        assert reader.read(100) == b"started\n"
        importer.close()
        assert reader.read() == b""  # ends when no process holds the other end


def test_rested_stem_comes_back_when_it_is_needed(import_text: Import, importer: Importer) -> None:
    import_text(GOOD)
    importer.rest(after_seconds=0.0)
    assert importer.stem is None
    assert import_text(GOOD).problems == ()


def test_too_many_tasks_for_one_file_are_refused(import_text: Import) -> None:
    text = (
        "import orch.dagfiles.child as child\nchild.MAX_RESULT_BYTES = 1 << 20\n"
        "from orch import DAG\nfor n in range(50):\n    DAG(f'd{n}', description='x' * 30_000)\n"
    )
    (problem,) = import_text(text).problems
    assert problem.message == (
        "its DAGs take 1 MB when serialised; 1 MB are allowed: declare fewer tasks per file"
    )
