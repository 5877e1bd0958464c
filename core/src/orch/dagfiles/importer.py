"""The importer: has DAG files imported in isolation, a few at once, whatever they do to their processes."""

import os
import selectors
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Self

from orch.dagfiles.problems import Explainer, with_output
from orch.dagfiles.requests import ImportEnded, ImportRequest, StemConfig
from orch.dagfiles.results import MAX_RESULT_BYTES, ImportProblem, ImportResult
from orch.dagfiles.sources import digest_file
from orch.dagfiles.stem_process import StemProcess
from orch.plugins import KNOWN_PROVIDERS, Plugins
from orch.settings import Settings

OVERDUE_SECONDS = 10.0
"""How long after the end of an import's time the stem may leave it unanswered before it is replaced."""

MOST_LOSSES = 2


@dataclass
class _Import:
    path: str
    losses: int = 0
    """How often the stem died under it."""
    result: BinaryIO | None = None
    began: float = field(default_factory=time.monotonic)


def stem_config(settings: Settings, plugins: Plugins) -> StemConfig:
    """Return what holds for the imports of this site."""
    operators = {spec.import_path.partition(":")[0] for spec in plugins.operators.values()}
    return StemConfig(
        folder=os.path.normpath(settings.core.dags_folder),
        timeout_seconds=settings.dagfiles.import_timeout_seconds,
        memory_mb=settings.dagfiles.import_memory_mb,
        preload=tuple(sorted(operators)),
        providers={package: provider.remedy for package, provider in KNOWN_PROVIDERS.items()},
    )


class Importer:
    """Imports files of one dags folder. The stem is started when it is needed and replaced when it dies."""

    def __init__(self, config: StemConfig, parallelism: int = 2) -> None:
        self._config = config
        self._parallelism = parallelism
        self._waiting: deque[_Import] = deque()
        self._running: dict[int, _Import] = {}
        self._asked = 0
        self._stem: StemProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_busy(self) -> bool:
        """Whether a submitted file has not come back yet."""
        return bool(self._waiting or self._running)

    @property
    def stem(self) -> StemProcess | None:
        """The stem, while there is one."""
        return self._stem

    def submit(self, paths: Iterable[str]) -> None:
        """Have these files imported, in this order, after those that wait already; `collect` starts them."""
        self._waiting.extend(_Import(path) for path in paths)

    def collect(self, timeout: float) -> list[ImportResult]:
        """Wait until an import has ended, or for `timeout` seconds; return the results that are there.

        Raises OSError when the system cannot start a process; a later call tries again.
        """
        self._start_imports()
        if self._stem is None or not self._running:
            return []
        with selectors.DefaultSelector() as selector:
            selector.register(self._stem, selectors.EVENT_READ)
            ready = selector.select(timeout)
        results: list[ImportResult] = []
        if ready:
            answers = self._stem.answers()
            results += self._lost_stem() if answers is None else [self._finish(answer) for answer in answers]
        elif self._is_overdue():
            results += self._lost_stem()
        self._start_imports()
        return results

    def import_all(self, paths: Iterable[str]) -> list[ImportResult]:
        """Import these files and return their results in the order of the paths."""
        self.submit(paths)
        results: list[ImportResult] = []
        while self.is_busy:
            results += self.collect(1.0)
        return sorted(results, key=lambda result: result.path)

    def rest(self, after_seconds: float) -> None:
        """Stop a stem that has had nothing to do for so long; the next import starts a new one."""
        if self._stem and not self.is_busy and time.monotonic() - self._stem.used_at > after_seconds:
            self.close()

    def close(self) -> None:
        """Stop the stem and forget what was submitted."""
        self._waiting.clear()
        for unfinished in self._running.values():
            _close(unfinished)
        self._running.clear()
        if self._stem is not None:
            self._stem.stop()
            self._stem = None

    def _start_imports(self) -> None:
        # A file that may have killed a stem runs alone, so that no other one is blamed for it.
        while self._waiting and len(self._running) < (1 if self._any_suspect() else self._parallelism):
            self._start_next()

    def _any_suspect(self) -> bool:
        return any(item.losses for item in (*self._running.values(), self._waiting[0]))

    def _start_next(self) -> None:
        self._stem = self._stem or StemProcess(self._config)
        result = _result_file()
        item = self._waiting.popleft()  # only now: when one of the above fails, it goes on waiting
        self._asked += 1
        item.result, item.began = result, time.monotonic()
        self._running[self._asked] = item
        self._stem.ask(ImportRequest(self._asked, item.path), item.result.fileno())

    def _finish(self, answer: ImportEnded) -> ImportResult:
        item = self._running.pop(answer.id)
        result = _read(item)
        if result is not None and answer.code == 0:
            problems = tuple(_with_output(problem, answer.output) for problem in result.problems)
            return replace(result, problems=problems)
        explainer = Explainer(self._config, item.path)
        return self._failed(item, explainer.death(answer.code, answer.output, timed_out=answer.timed_out))

    def _lost_stem(self) -> list[ImportResult]:
        """Begin again with a new stem; a file under which it died twice is not tried a third time."""
        if self._stem is not None:
            self._stem.stop()
            self._stem = None
        lost = list(self._running.values())
        self._running.clear()
        for item in lost:
            _close(item)
            item.losses += 1
        self._waiting.extendleft(item for item in reversed(lost) if item.losses < MOST_LOSSES)
        message = "the process that imports DAG files died twice while it imported this file"
        return [self._failed(i, ImportProblem.of(message)) for i in lost if i.losses >= MOST_LOSSES]

    def _is_overdue(self) -> bool:
        limit = self._config.timeout_seconds + OVERDUE_SECONDS
        return any(time.monotonic() - item.began > limit for item in self._running.values())

    def _failed(self, item: _Import, problem: ImportProblem) -> ImportResult:
        sources = {item.path: digest_file(Path(self._config.folder, item.path))}
        return ImportResult(item.path, (), (problem,), sources, time.monotonic() - item.began)


def _result_file() -> BinaryIO:
    """Return a file without a name: unlike with a pipe, its writer never waits for us."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("orch-import"), "w+b")
    return tempfile.TemporaryFile()


def _read(item: _Import) -> ImportResult | None:
    """Return what the child wrote, if it is a whole result."""
    assert item.result is not None  # noqa: S101 - set when the import was started
    with item.result as file:
        if os.fstat(file.fileno()).st_size > 2 * MAX_RESULT_BYTES:
            return None
        file.seek(0)
        try:
            return ImportResult.from_json(file.read())
        except ValueError:
            return None


def _with_output(problem: ImportProblem, output: str) -> ImportProblem:
    return ImportProblem.of(problem.message, problem.line, with_output(problem.traceback, output))


def _close(item: _Import) -> None:
    if item.result is not None:
        item.result.close()
        item.result = None
