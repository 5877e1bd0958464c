"""Every entry of the reset list: a nasty task leaves no trace for the next one in its process, and would without it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.worker_harness import Harness

from orch.runner.reset.slate import RESETS

pytestmark = pytest.mark.e2e

CONTEXT = "context variables"
"""Not an entry of the table, since nothing has to be put back: each task runs in a context of its own."""

IMPORTS = """
import asyncio, atexit, contextvars, decimal, faulthandler, gc, hashlib, io, locale, logging, random, resource
import signal, socket, subprocess, sys, tempfile, threading, time, warnings
from orch.runner.reset import slate
from orch.runner.reset.entry import Saved

OFF = set()
restore, run = Saved.restore, slate.Slate.run
Saved.restore = lambda self: None if self.entry.name in OFF else restore(self)
slate.Slate.run = lambda self, function: function() if "context variables" in OFF else run(self, function)
VARIABLE = contextvars.ContextVar("variable", default="clean")

META_PATH, SEVEN = sys.meta_path, random.Random(7)
SEVENS = {SEVEN.random() for _ in range(3)}

def print_nothing(*_):
    pass

class Policy(asyncio.DefaultEventLoopPolicy):
    pass
"""

NASTY: dict[str, tuple[str, str]] = {
    "environment": (
        "os.environ['NASTY'] = '1'; del os.environ['PATH']; os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()",
        "[sorted(os.environ.items()), time.tzname, subprocess.check_output(['/bin/sh', '-c', 'echo $NASTY'])]",
    ),
    "working directory": ("os.chdir('/')", "os.getcwd()"),
    "umask": ("os.umask(0o007)", "[mask := os.umask(0), os.umask(mask)][0]"),
    "interval timers": (
        "signal.setitimer(signal.ITIMER_VIRTUAL, 500); signal.alarm(500)",
        "[signal.getitimer(n)[0] > 0 for n in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)]",
    ),
    "signals": (
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]); os.kill(os.getpid(), signal.SIGUSR2)",
        "[str(signal.getsignal(signal.SIGUSR1)), str(signal.getsignal(signal.SIGINT)),"
        " len(signal.pthread_sigmask(signal.SIG_BLOCK, [])), len(signal.sigpending())]",
    ),
    "faulthandler": (
        "faulthandler.disable(); faulthandler.dump_traceback_later(500); faulthandler.register(signal.SIGUSR1)",
        "[faulthandler.is_enabled(), len(os.listdir('/proc/self/task'))]",
    ),
    "resource limits": (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (77, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))",
        "resource.getrlimit(resource.RLIMIT_NOFILE)",
    ),
    "scheduling": (
        "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])",
        "sorted(os.sched_getaffinity(0))",
    ),
    "logging": (
        "logging.basicConfig(level=logging.DEBUG, format='nasty %(message)s'); logging.disable(logging.CRITICAL)\n"
        "    logging.getLogger('orch').disabled = True; logging.getLogger('new').setLevel(7)\n"
        "    logging.getLogger('new').addHandler(logging.StreamHandler()); logging.captureWarnings(True)",
        "[len(logging.root.handlers), logging.root.level, logging.root.manager.disable,"
        " logging.getLogger('orch').disabled, logging.getLogger('new').level,"
        " len(logging.getLogger('new').handlers), warnings.showwarning.__module__]",
    ),
    "warnings": (
        "warnings.simplefilter('ignore'); warnings.showwarning = print",
        "[len(warnings.filters), warnings.filters[0][0], warnings.showwarning.__name__]",
    ),
    "import path": (
        "sys.path.insert(0, '/nasty'); sys.argv.append('--nasty'); sys.meta_path = sys.meta_path[:]",
        "[sys.path, sys.argv, sys.meta_path is META_PATH]",
    ),
    "hooks": (
        "sys.excepthook = print; threading.excepthook = print; sys.unraisablehook = print",
        "[sys.excepthook is print, threading.excepthook is print, sys.unraisablehook is print]",
    ),
    "tracing": (
        "sys.setprofile(lambda *_: None); threading.settrace(lambda *_: None)",
        "[sys.getprofile() is None, threading.gettrace() is None]",
    ),
    "interpreter limits": (
        "sys.setrecursionlimit(4321); sys.setswitchinterval(1); threading.stack_size(1 << 20)",
        "[sys.getrecursionlimit(), sys.getswitchinterval(), threading.stack_size()]",
    ),
    "random": (
        "random.seed(7)",
        "random.random() in SEVENS",
    ),
    "locale": (
        "locale.setlocale(locale.LC_ALL, 'C.UTF-8' if locale.setlocale(locale.LC_ALL) == 'C' else 'C')",
        "locale.setlocale(locale.LC_ALL)",
    ),
    "decimal context": (
        "decimal.getcontext().prec = 3; decimal.DefaultContext.prec = 4; decimal.getcontext().clear_traps()",
        "[str(decimal.Decimal(1) / 3), decimal.DefaultContext.prec, repr(decimal.getcontext())]",
    ),
    "exit handlers": ("atexit.register(print, 'late')", "atexit._ncallbacks()"),
    "socket timeout": ("socket.setdefaulttimeout(3)", "socket.getdefaulttimeout()"),
    "event loop": (
        "asyncio.set_event_loop_policy(Policy())",
        "type(asyncio.get_event_loop_policy()).__name__",
    ),
    "temporary folder": ("tempfile.tempdir = '/nasty'", "tempfile.tempdir"),
    "garbage collector": (
        "gc.disable(); gc.set_threshold(1); gc.callbacks.append(print_nothing)",
        "[gc.isenabled(), gc.get_threshold(), len(gc.callbacks)]",
    ),
    "standard streams": (
        "sys.stdout = io.StringIO(); sys.stderr = None; sys.stdin = io.StringIO('nasty')",
        "[sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__, sys.stdin is sys.__stdin__]",
    ),
    CONTEXT: ("VARIABLE.set('nasty')", "VARIABLE.get()"),
}
"""Entry -> what the nasty task does, and what the innocent one sees."""

TASKS = """
def nasty_{n}():
    {nasty}

def seen_{n}():
    text = repr({seen})
    print(text, file=sys.__stdout__)
    return [os.getpid(), hashlib.sha256(text.encode()).hexdigest()[:12]]

@task(task_id="look_{n}")
def look():
    try:
        return seen_{n}()
    finally:
        OFF.clear()
look()

@task(task_id="dirty_{n}")
def dirty():
    nasty_{n}()
    return seen_{n}()
dirty()

@task(task_id="off_{n}")
def off():
    OFF.add({name!r})
off()
"""
NUMBERS = {name: number for number, name in enumerate(NASTY)}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    harness = Harness(tmp_path_factory.mktemp("resets"), tasks_per_process=10_000)
    bodies = [
        TASKS.format(n=n, name=name, nasty=NASTY[name][0], seen=NASTY[name][1]) for name, n in NUMBERS.items()
    ]
    harness.write_dag("\n".join([IMPORTS, *bodies]))
    yield harness
    harness.close()


def result(worker: Harness, task_id: str) -> list[Any]:
    """Run a task; return the process it ran in and a digest of what it saw, which its log has in full."""
    report = worker.run(task_id)
    assert report["kind"] == "success", (report["error"], worker.log_text(report))
    found: list[Any] = json.loads(report["xcoms"][0][1])
    return found


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_task_leaves_nothing_to_the_next_one_in_its_process(worker: Harness, name: str) -> None:
    n = NUMBERS[name]
    before, dirty, after = (result(worker, f"{kind}_{n}") for kind in ("look", "dirty", "look"))
    assert before[0] == dirty[0] == after[0]
    assert dirty[1] != before[1]
    assert after[1] == before[1]


@pytest.mark.parametrize("name", NASTY)
def test_without_its_entry_the_next_task_would_see_it(worker: Harness, name: str) -> None:
    n = NUMBERS[name]
    before = result(worker, f"look_{n}")
    worker.run(f"off_{n}")
    dirty, after = (result(worker, f"{kind}_{n}") for kind in ("dirty", "look"))
    assert before[0] == dirty[0]
    assert after != before


def test_every_entry_has_its_nasty_task() -> None:
    special = {"user and groups"}  # cannot be put back: such a process is replaced
    assert {entry.name for entry in RESETS} - special == NASTY.keys() - {CONTEXT}


def test_the_page_for_authors_has_the_list() -> None:
    page = (Path(__file__).parents[2] / "docs" / "authoring.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("\n| put back after each task |")
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    listed = [found[1] for row in rows if (found := re.match(r"\| ([^|]+?) \|", row))]
    assert sorted(listed) == sorted([*(entry.name for entry in RESETS), CONTEXT])
