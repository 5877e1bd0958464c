"""Time and limits: schedules, backfills, admission by turn, stored sources.

Runs before the code that needs it; nothing that older rows hold is lost.
"""

from math import floor, log2
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OPEN_RUN = "state IN ('queued', 'running')"
_TAKING = "state IN ('queued', 'running')"
_SCHEDULED = "state = 'scheduled'"
_NEW_TABLES = ("backfill_date", "backfill", "blob", "bundle", "dag_revision", "turn")


def upgrade() -> None:
    """Add columns, tables and indexes."""
    for table, columns in _added().items():
        for column in columns:
            op.add_column(table, column)
    _sources()
    # Each file is imported once more, so that its sources are stored.
    op.execute("UPDATE dag_file SET content_hash = '', stat_key = ''")
    _backfills()
    _turns()
    op.drop_index("uq_dag_run_dag_pk_run_type_logical_date", "dag_run")
    _index(
        "uq_dag_run_dag_pk_run_type_logical_date", "dag_run", ["dag_pk", "run_type", "logical_date"],
        "run_type NOT IN ('manual', 'backfill')", unique=True,
    )  # fmt: skip
    _index(
        "uq_dag_run_backfill_id_logical_date", "dag_run", ["backfill_id", "logical_date"],
        "backfill_id IS NOT NULL", unique=True,
    )  # fmt: skip
    _index("ix_dag_run_open_of_dag", "dag_run", ["dag_pk", "state", "run_type"], _OPEN_RUN)
    _index("ix_dag_run_queued", "dag_run", ["backfill_id", "dag_pk", "run_after", "id"], "state = 'queued'")
    op.create_index(
        "ix_dag_run_order", "dag_run", ["dag_pk", sa.text("COALESCE(logical_date, run_after)"), "id"]
    )
    _index("ix_dag_run_bundle_id", "dag_run", ["bundle_id"], "bundle_id IS NOT NULL")
    op.drop_index("ix_task_instance_scheduled", "task_instance")
    op.drop_index("ix_task_instance_occupying", "task_instance")
    rank = sa.text("(state_since - head_start)")
    _index(
        "ix_task_instance_waiting", "task_instance",
        ["pool", "executor", "dag_pk", "lane", rank, "id"], _SCHEDULED,
    )  # fmt: skip
    _index(
        "ix_task_instance_taking", "task_instance",
        ["state", "pool", "dag_pk", "executor", "lane", "slots"], _TAKING,
    )  # fmt: skip
    _index("ix_limit_row_saturated", "limit_row", ["kind", "name"], "saturated_since IS NOT NULL")
    op.create_index("ix_waiter_run_pk", "waiter", ["run_pk"])


def downgrade() -> None:
    """Take it all back; backfills and stored sources are lost, their runs stay."""
    op.drop_index("ix_waiter_run_pk", "waiter")
    op.drop_index("ix_limit_row_saturated", "limit_row")
    op.drop_index("ix_task_instance_taking", "task_instance")
    op.drop_index("ix_task_instance_waiting", "task_instance")
    for name in (
        "ix_dag_run_bundle_id", "ix_dag_run_order", "ix_dag_run_queued", "ix_dag_run_open_of_dag",
        "uq_dag_run_backfill_id_logical_date",
    ):  # fmt: skip
        op.drop_index(name, "dag_run")
    op.drop_index("uq_dag_run_dag_pk_run_type_logical_date", "dag_run")
    op.execute("UPDATE dag_run SET run_type = 'manual' WHERE run_type = 'backfill'")
    _index(
        "uq_dag_run_dag_pk_run_type_logical_date", "dag_run", ["dag_pk", "run_type", "logical_date"],
        "run_type <> 'manual'", unique=True,
    )  # fmt: skip
    _index("ix_task_instance_scheduled", "task_instance", ["executor", "priority", "id"], _SCHEDULED)
    _index(
        "ix_task_instance_occupying",
        "task_instance",
        ["state", "pool", "dag_pk", "executor", "slots"],
        _TAKING,
    )
    for table in _NEW_TABLES:
        op.drop_table(table)
    for table, columns in _added().items():
        for column in columns:
            op.drop_column(table, column.name)


def _added() -> dict[str, tuple[sa.Column[Any], ...]]:
    return {
        "dag": (sa.Column("bundle_id", _BIG),),
        "dag_run": (sa.Column("bundle_id", _BIG), sa.Column("backfill_id", _BIG)),
        "dispatch": (sa.Column("head_start", sa.BigInteger(), nullable=False, server_default="0"),),
        "task_instance": (
            sa.Column("head_start", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("lane", sa.Text(), nullable=False, server_default=""),
        ),
        "schedule_cursor": (
            sa.Column("changed_at", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("since_tick_at", sa.BigInteger()),
            sa.Column("follows_end", sa.Boolean(), nullable=False, server_default=sa.false()),
        ),
    }


def _index(name: str, table: str, columns: list[Any], where: str, *, unique: bool = False) -> None:
    op.create_index(
        name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )


def _sources() -> None:
    op.create_table(
        "bundle",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundle")),
        sa.UniqueConstraint("hash", name=op.f("uq_bundle_hash")),
    )
    op.create_table(
        "blob",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_blob")),
    )
    op.create_table(
        "dag_revision",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("dag_pk", _BIG, nullable=False),
        sa.Column("dag_version_id", _BIG, nullable=False),
        sa.Column("source_rev", sa.Text(), nullable=False),
        sa.Column("bundle_id", _BIG),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("sources", sa.Text(), nullable=False, server_default="{}"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dag_revision")),
        sa.UniqueConstraint(
            "dag_pk",
            "dag_version_id",
            "source_rev",
            name=op.f("uq_dag_revision_dag_pk_dag_version_id_source_rev"),
        ),
    )


def _turns() -> None:
    """The table of turns; and task instances from before get their lanes and head starts."""
    op.create_table(
        "turn",
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("dag_pk", _BIG, autoincrement=False, nullable=False),
        sa.Column("served_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pool", "dag_pk", name=op.f("pk_turn")),
    )
    connection = op.get_bind()
    find = "SELECT DISTINCT priority, slots FROM task_instance WHERE priority <> 1 OR slots <> 1"
    for priority, slots in connection.execute(sa.text(find)).all():
        doublings = log2(priority) if priority >= 1 else -log2(2 - priority)
        connection.execute(
            sa.text(
                "UPDATE task_instance SET head_start = :head_start, lane = :lane"
                " WHERE priority = :priority AND slots = :slots"
            ),
            {"head_start": round(doublings * 3_600_000_000), "lane": f"{floor(doublings)}/{slots}//",
             "priority": priority, "slots": slots},
        )  # fmt: skip


def _backfills() -> None:
    op.create_table(
        "backfill",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("dag_pk", _BIG, nullable=False),
        sa.Column("dag_id", sa.Text(), nullable=False),
        sa.Column("dag_version_id", _BIG, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_since", sa.BigInteger(), nullable=False),
        sa.Column("from_date", sa.BigInteger(), nullable=False),
        sa.Column("to_date", sa.BigInteger(), nullable=False),
        sa.Column("run_backwards", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("reprocess", sa.Text(), nullable=False),
        sa.Column("max_active_runs", sa.Integer(), nullable=False),
        sa.Column("conf", sa.Text(), nullable=False, server_default="{}"),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("dates", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger()),
        sa.Column("created_by", sa.Text(), nullable=False, server_default=""),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfill")),
    )
    op.create_index("ix_backfill_dag_pk", "backfill", ["dag_pk"])
    _index("ix_backfill_open", "backfill", ["state"], "ended_at IS NULL")
    op.create_table(
        "backfill_date",
        sa.Column("backfill_id", _BIG, autoincrement=False, nullable=False),
        sa.Column("logical_date", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("run_pk", _BIG),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("backfill_id", "logical_date", name=op.f("pk_backfill_date")),
    )
