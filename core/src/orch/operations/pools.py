"""Pools: named budgets of slots that tasks of all DAGs share."""

from orch.errors import BadInput, Conflict, NotFound, nearest
from orch.ids import check_id
from orch.operations.actor import Actor
from orch.operations.perform import Done, Order, Services, perform
from orch.store.engine import Tx
from orch.store.queries import limits
from orch.store.queries.pools import PoolRow, find_pool, list_pools

UNLIMITED = -1
MOST_SLOTS = 2**31 - 1


def set_pool(
    services: Services, actor: Actor, name: str, slots: int, description: str | None = None
) -> PoolRow:
    """Create a pool or change its size; -1 is a pool without limit. What holds slots keeps them."""
    check_id("pool", name)
    if slots < UNLIMITED:
        raise BadInput(f"pool {name!r}: {slots} slots are not possible; use 0 or more, or -1 for no limit")
    if slots > MOST_SLOTS:
        raise BadInput(
            f"pool {name!r}: {slots} slots are too many; use at most {MOST_SLOTS}, or -1 for no limit"
        )

    def act(tx: Tx) -> Done[PoolRow]:
        limits.set_size(tx, "pool", name, slots)
        if description is not None:
            limits.describe(tx, "pool", name, description)
        return Done(_found(tx, name), {"slots": slots})

    return perform(services, Order(actor, "pool.set", name, "pool"), act)


def delete_pool(services: Services, actor: Actor, name: str) -> PoolRow:
    """Delete a pool that nobody holds slots of; tasks that name it wait until it is made again."""

    def act(tx: Tx) -> Done[PoolRow]:
        pool = _found(tx, name)
        if name == limits.DEFAULT_POOL:
            raise Conflict("the pool 'default' cannot be deleted; tasks that name no pool use it")
        if pool.occupied:
            raise Conflict(
                f"pool {name!r} is in use: {pool.occupied} slots are taken; wait, or set it to 0 slots"
            )
        limits.delete(tx, "pool", name)
        return Done(pool)

    return perform(services, Order(actor, "pool.delete", name, "pool"), act)


def _found(tx: Tx, name: str) -> PoolRow:
    pool = find_pool(tx, name)
    if pool is None:
        known = [row.name for row in list_pools(tx)]
        raise NotFound(
            f"unknown pool {name!r}{nearest(name, known) or '; `orch pools list` shows the known ones'}"
        )
    return pool
