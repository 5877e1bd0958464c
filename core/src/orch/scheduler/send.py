"""Sending: queued attempts are handed to their executors after the commit that queued them."""

import json
import logging
from collections import defaultdict
from collections.abc import Sequence

from orch.hookspecs.executors import BaseExecutor, Dispatch
from orch.scheduler.context import SchedulerContext
from orch.store.queries import attempts
from orch.store.queries.attempts import DispatchRow

log = logging.getLogger("orch.scheduler")


def tell_consumers(context: SchedulerContext, rows: Sequence[DispatchRow]) -> None:
    """Tell the executors whose workers claim from the database that these are there; nothing is written.

    When this is lost in a crash, their workers find the rows at their next look.
    """
    for executor, items in _by_executor(context, rows):
        if context.claims_from_database(executor.name):
            _hand_over(context, executor, items)


def send(context: SchedulerContext) -> int:
    """Hand the outbox to the executors that carry attempts themselves; what one refuses comes again."""
    if all(map(context.claims_from_database, context.executors)):
        return 0
    with context.store.read() as tx:
        unsent = attempts.unsent(tx, context.settings.scheduler.batch, context.scope)
    sent = 0
    for executor, items in _by_executor(context, unsent):
        if context.claims_from_database(executor.name):
            continue
        if _hand_over(context, executor, items):
            with context.store.write("send") as tx:
                attempts.mark_sent(tx, [(item.ti_id, item.epoch) for item in items])
            sent += len(items)
    return sent


def _by_executor(
    context: SchedulerContext, rows: Sequence[DispatchRow]
) -> list[tuple[BaseExecutor, list[Dispatch]]]:
    """Group by executor; what names one that this process does not have stays for `orch why` to explain."""
    batches: dict[str, list[Dispatch]] = defaultdict(list)
    for row in rows:
        command = json.dumps({"format": 1, "ti_id": row.ti_id, "epoch": row.epoch})
        batches[row.executor].append(Dispatch(row.ti_id, row.epoch, row.queue, command))
    return [(context.executors[name], items) for name, items in batches.items() if name in context.executors]


def _hand_over(context: SchedulerContext, executor: BaseExecutor, items: list[Dispatch]) -> bool:
    context.store.failpoints.hit("send.before")
    try:
        executor.send(items)
    except Exception:  # foreign code
        log.exception("executor %s did not take %d attempts; they are sent again", executor.name, len(items))
        return False
    context.store.failpoints.hit("send.after")
    return True
