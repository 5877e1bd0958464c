"""Trigger rules: the condition on upstream states that lets a task instance run, as arithmetic on counts."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum

from orch.domain.states import TaskState


class TriggerRule(StrEnum):
    """The thirteen rules."""

    ALL_SUCCESS = "all_success"
    ALL_FAILED = "all_failed"
    ALL_DONE = "all_done"
    ALL_DONE_MIN_ONE_SUCCESS = "all_done_min_one_success"
    ALL_DONE_SETUP_SUCCESS = "all_done_setup_success"
    ONE_SUCCESS = "one_success"
    ONE_FAILED = "one_failed"
    ONE_DONE = "one_done"
    NONE_FAILED = "none_failed"
    NONE_SKIPPED = "none_skipped"
    ALWAYS = "always"
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    ALL_SKIPPED = "all_skipped"


class Verdict(Enum):
    """What a rule says of the upstream states as they are now. All but WAIT are final."""

    WAIT = "wait"
    RUN = "run"
    SKIP = "skip"
    UPSTREAM_FAILED = "upstream_failed"


@dataclass(slots=True)
class UpstreamCounts:
    """How many direct upstreams there are, and how many have ended in which way.

    `failed` counts failed, upstream_failed and cancelled ones; `skipped` counts skipped and removed ones.
    The `setup_` counts are of the setup tasks among them.
    """

    total: int = 0
    success: int = 0
    failed: int = 0
    skipped: int = 0
    setup_total: int = 0
    setup_success: int = 0
    setup_skipped: int = 0

    @property
    def done(self) -> int:
        """How many have ended."""
        return self.success + self.failed + self.skipped

    @property
    def all_done(self) -> bool:
        """Whether every upstream has ended."""
        return self.done == self.total

    def add(self, state: TaskState, *, is_setup: bool = False) -> None:
        """Count one upstream that has ended in `state`."""
        if state is TaskState.SUCCESS:
            self.success += 1
            self.setup_success += is_setup
        elif state in (TaskState.SKIPPED, TaskState.REMOVED):
            self.skipped += 1
            self.setup_skipped += is_setup
        else:
            self.failed += 1


def evaluate(rule: TriggerRule, counts: UpstreamCounts) -> Verdict:
    """Return what `rule` says; a task without upstreams runs under every rule."""
    if counts.total == 0:
        return Verdict.RUN
    return _RULES[rule](counts)


def _first(*cases: tuple[bool, Verdict]) -> Verdict:
    """Return the verdict of the first case that holds, else WAIT."""
    return next((verdict for holds, verdict in cases if holds), Verdict.WAIT)


def _all_success(c: UpstreamCounts) -> Verdict:
    return _first(
        (c.failed > 0, Verdict.UPSTREAM_FAILED),
        (c.skipped > 0, Verdict.SKIP),
        (c.success == c.total, Verdict.RUN),
    )


def _all_failed(c: UpstreamCounts) -> Verdict:
    return _first((c.success > 0 or c.skipped > 0, Verdict.SKIP), (c.failed == c.total, Verdict.RUN))


def _all_done(c: UpstreamCounts) -> Verdict:
    return _first((c.all_done, Verdict.RUN))


def _all_done_min_one_success(c: UpstreamCounts) -> Verdict:
    return _first(
        (not c.all_done, Verdict.WAIT),
        (c.success > 0, Verdict.RUN),
        (c.skipped == c.total, Verdict.SKIP),
        (True, Verdict.UPSTREAM_FAILED),
    )


def _all_done_setup_success(c: UpstreamCounts) -> Verdict:
    return _first(
        (not c.all_done, Verdict.WAIT),
        (c.setup_total == 0 or c.setup_success > 0, Verdict.RUN),
        (c.setup_skipped == c.setup_total, Verdict.SKIP),
        (True, Verdict.UPSTREAM_FAILED),
    )


def _one_success(c: UpstreamCounts) -> Verdict:
    return _first(
        (c.success > 0, Verdict.RUN),
        (not c.all_done, Verdict.WAIT),
        (c.skipped == c.total, Verdict.SKIP),
        (True, Verdict.UPSTREAM_FAILED),
    )


def _one_failed(c: UpstreamCounts) -> Verdict:
    return _first((c.failed > 0, Verdict.RUN), (c.all_done, Verdict.SKIP))


def _one_done(c: UpstreamCounts) -> Verdict:
    return _first((c.success > 0 or c.failed > 0, Verdict.RUN), (c.all_done, Verdict.SKIP))


def _none_failed(c: UpstreamCounts) -> Verdict:
    return _first((c.failed > 0, Verdict.UPSTREAM_FAILED), (c.all_done, Verdict.RUN))


def _none_skipped(c: UpstreamCounts) -> Verdict:
    return _first((c.skipped > 0, Verdict.SKIP), (c.all_done, Verdict.RUN))


def _always(_: UpstreamCounts) -> Verdict:
    return Verdict.RUN


def _none_failed_min_one_success(c: UpstreamCounts) -> Verdict:
    return _first(
        (c.failed > 0, Verdict.UPSTREAM_FAILED),
        (c.skipped == c.total, Verdict.SKIP),
        (c.all_done, Verdict.RUN),
    )


def _all_skipped(c: UpstreamCounts) -> Verdict:
    return _first((c.success > 0 or c.failed > 0, Verdict.SKIP), (c.all_done, Verdict.RUN))


_RULES: dict[TriggerRule, Callable[[UpstreamCounts], Verdict]] = {
    TriggerRule.ALL_SUCCESS: _all_success,
    TriggerRule.ALL_FAILED: _all_failed,
    TriggerRule.ALL_DONE: _all_done,
    TriggerRule.ALL_DONE_MIN_ONE_SUCCESS: _all_done_min_one_success,
    TriggerRule.ALL_DONE_SETUP_SUCCESS: _all_done_setup_success,
    TriggerRule.ONE_SUCCESS: _one_success,
    TriggerRule.ONE_FAILED: _one_failed,
    TriggerRule.ONE_DONE: _one_done,
    TriggerRule.NONE_FAILED: _none_failed,
    TriggerRule.NONE_SKIPPED: _none_skipped,
    TriggerRule.ALWAYS: _always,
    TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS: _none_failed_min_one_success,
    TriggerRule.ALL_SKIPPED: _all_skipped,
}
