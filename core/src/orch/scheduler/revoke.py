"""Revocation: executors and workers are told of attempts that were taken back, after the commit that did it."""

import logging
from collections import defaultdict
from collections.abc import Sequence

from orch.hints import REVOKED
from orch.hookspecs.executors import AttemptKey
from orch.scheduler.context import SchedulerContext

log = logging.getLogger("orch.scheduler")


def tell_revoked(context: SchedulerContext, revoked: Sequence[tuple[str, AttemptKey]]) -> None:
    """Tell who carries or runs these attempts that they have no right to go on; nothing is written.

    When this is lost, a worker learns it from its next heartbeat, and a copy that is still carried is refused.
    """
    if not revoked:
        return
    context.hint_workers(REVOKED)
    batches: dict[str, list[AttemptKey]] = defaultdict(list)
    for executor, key in revoked:
        batches[executor].append(key)
    for name, keys in batches.items():
        if name in context.executors:
            try:
                context.executors[name].cancel(keys)
            except Exception:  # foreign code
                log.exception("executor %s did not take back %d attempts", name, len(keys))
