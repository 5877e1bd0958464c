"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "attempt",
        sa.Column(
            "ti_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("nonce_hash", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False, comment="incarnation of the worker"),
        sa.Column("claimed_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True, comment="null while open"),
        sa.Column("error", sa.Text(), nullable=True, comment="one line for people"),
        sa.Column("exit", sa.Text(), nullable=True, comment="exit code or signal of the task process"),
        sa.Column("log_path", sa.Text(), nullable=True, comment="relative to the logs folder"),
        sa.PrimaryKeyConstraint("ti_id", "epoch", name=op.f("pk_attempt")),
        sa.UniqueConstraint("nonce_hash", name=op.f("uq_attempt_nonce_hash")),
    )
    op.create_index(
        "ix_attempt_open",
        "attempt",
        ["holder"],
        unique=False,
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_table(
        "audit",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column(
            "detail", sa.Text(), server_default="{}", nullable=False, comment="JSON without secret values"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "callback_outbox",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("run_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ti_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("try_number", sa.Integer(), server_default="0", nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), server_default="{}", nullable=False),
        sa.Column("deliveries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callback_outbox")),
        sa.UniqueConstraint(
            "run_pk",
            "ti_id",
            "try_number",
            "kind",
            name=op.f("uq_callback_outbox_run_pk_ti_id_try_number_kind"),
        ),
    )
    op.create_table(
        "dag",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("dag_id", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False, comment="path relative to the dags folder"),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("schedule", sa.Text(), nullable=True),
        sa.Column("tags", sa.Text(), server_default="[]", nullable=False, comment="JSON list"),
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.Column("is_paused", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "is_missing", sa.Boolean(), server_default=sa.text("0"), nullable=False, comment="file gone"
        ),
        sa.Column(
            "max_active_runs", sa.Integer(), nullable=True, comment="null: the default of the settings"
        ),
        sa.Column(
            "max_active_tasks", sa.Integer(), nullable=True, comment="null: the default of the settings"
        ),
        sa.Column(
            "current_version_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="dag_version.id of new runs",
        ),
        sa.Column("source_rev", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dag")),
        sa.UniqueConstraint("dag_id", name=op.f("uq_dag_dag_id")),
    )
    op.create_table(
        "dag_file",
        sa.Column("path", sa.Text(), nullable=False, comment="relative to the dags folder"),
        sa.Column("content_hash", sa.Text(), nullable=False, comment="of the file and its local modules"),
        sa.Column(
            "stat_key", sa.Text(), server_default="", nullable=False, comment="sizes and mtimes: cheap check"
        ),
        sa.Column(
            "modules", sa.Text(), server_default="[]", nullable=False, comment="JSON list of relative paths"
        ),
        sa.Column("dag_ids", sa.Text(), server_default="[]", nullable=False, comment="JSON list"),
        sa.Column("parsed_at", sa.BigInteger(), nullable=False),
        sa.Column("parse_seconds", sa.Float(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_dag_file")),
    )
    op.create_table(
        "dag_run",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("dag_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("dag_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("run_type", sa.Text(), nullable=False, comment="manual, scheduled, backfill, asset"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "version", sa.Integer(), server_default="1", nullable=False, comment="bumped by each change"
        ),
        sa.Column("dag_version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source_rev", sa.Text(), server_default="", nullable=False),
        sa.Column("logical_date", sa.BigInteger(), nullable=True),
        sa.Column("data_interval_start", sa.BigInteger(), nullable=True),
        sa.Column("data_interval_end", sa.BigInteger(), nullable=True),
        sa.Column("run_after", sa.BigInteger(), nullable=False),
        sa.Column("conf", sa.Text(), server_default="{}", nullable=False),
        sa.Column("idem_key", sa.Text(), nullable=True),
        sa.Column("body_hash", sa.Text(), nullable=True),
        sa.Column(
            "due_at",
            sa.BigInteger(),
            nullable=True,
            comment="when the scheduler looks next without being woken",
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="why a queued run is not promoted"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("triggered_by", sa.Text(), server_default="", nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dag_run")),
        sa.UniqueConstraint("dag_pk", "idem_key", name=op.f("uq_dag_run_dag_pk_idem_key")),
        sa.UniqueConstraint("dag_pk", "run_id", name=op.f("uq_dag_run_dag_pk_run_id")),
    )
    op.create_index("ix_dag_run_dag_pk_created_at", "dag_run", ["dag_pk", "created_at"], unique=False)
    op.create_index(
        "ix_dag_run_open",
        "dag_run",
        ["state", "due_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'running')"),
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_index(
        "uq_dag_run_dag_pk_run_type_logical_date",
        "dag_run",
        ["dag_pk", "run_type", "logical_date"],
        unique=True,
        sqlite_where=sa.text("run_type <> 'manual'"),
        postgresql_where=sa.text("run_type <> 'manual'"),
    )
    op.create_table(
        "dispatch",
        sa.Column(
            "ti_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("run_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("executor", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("ti_id", "epoch", name=op.f("pk_dispatch")),
    )
    op.create_index(
        "ix_dispatch_executor_queue_priority",
        "dispatch",
        ["executor", "queue", "priority", "ti_id"],
        unique=False,
    )
    op.create_table(
        "event",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="stamped by one sequencer after commit",
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("position", name=op.f("uq_event_position")),
    )
    op.create_table(
        "import_error",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_error")),
    )
    op.create_index(op.f("ix_import_error_path"), "import_error", ["path"], unique=False)
    op.create_table(
        "limit_history",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column(
            "after_ti_seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="in force for history rows after this one",
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_limit_history")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_limit_history_kind_name", "limit_history", ["kind", "name"], unique=False)
    op.create_table(
        "limit_row",
        sa.Column("kind", sa.Text(), nullable=False, comment="pool, dag_runs, dag_tasks, task, executor"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False, comment="-1: no limit"),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "saturated_since", sa.BigInteger(), nullable=True, comment="since when somebody waits for it"
        ),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_limit_row")),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
        comment="facts on this database: id, protocol version",
    )
    op.create_table(
        "process",
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False, comment="scheduler, worker, dag_processor, up"),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("boot_id", sa.Text(), server_default="", nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column(
            "lock_path",
            sa.Text(),
            nullable=True,
            comment="held with lockf while it lives; a free lock proves death",
        ),
        sa.Column("address", sa.Text(), nullable=True, comment="datagram socket for wake-up hints"),
        sa.Column("capacity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("info", sa.Text(), server_default="{}", nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True, comment="null while it may live"),
        sa.PrimaryKeyConstraint("incarnation", name=op.f("pk_process")),
    )
    op.create_table(
        "run_history",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("run_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("old", sa.Text(), nullable=False),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_run_history")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_run_history_run_pk"), "run_history", ["run_pk"], unique=False)
    op.create_table(
        "schedule_cursor",
        sa.Column(
            "dag_pk",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "last_tick_at",
            sa.BigInteger(),
            nullable=True,
            comment="newest tick that has its run or was skipped on purpose",
        ),
        sa.Column("next_tick_at", sa.BigInteger(), nullable=True, comment="null: nothing to come"),
        sa.Column("schedule_hash", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("dag_pk", name=op.f("pk_schedule_cursor")),
    )
    op.create_index(
        op.f("ix_schedule_cursor_next_tick_at"), "schedule_cursor", ["next_tick_at"], unique=False
    )
    op.create_table(
        "task_instance",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("run_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("dag_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("map_index", sa.Integer(), server_default="-1", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False, comment="history rows so far"),
        sa.Column(
            "epoch", sa.Integer(), server_default="0", nullable=False, comment="grants of the right to run"
        ),
        sa.Column("try_number", sa.Integer(), server_default="0", nullable=False, comment="tries started"),
        sa.Column(
            "next_try", sa.Integer(), server_default="1", nullable=False, comment="number of the next start"
        ),
        sa.Column("max_tries", sa.Integer(), server_default="1", nullable=False),
        sa.Column("infra_losses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("dag_version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source_rev", sa.Text(), server_default="", nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("slots", sa.Integer(), server_default="1", nullable=False),
        sa.Column("priority", sa.Integer(), server_default="1", nullable=False),
        sa.Column("executor", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), server_default="default", nullable=False),
        sa.Column(
            "reason", sa.Text(), nullable=True, comment="code of domain.reasons: why it is where it is"
        ),
        sa.Column("reason_detail", sa.Text(), nullable=True),
        sa.Column("state_since", sa.BigInteger(), nullable=False),
        sa.Column(
            "due_at", sa.BigInteger(), nullable=True, comment="up_for_retry, up_for_reschedule: not before"
        ),
        sa.Column(
            "started_at",
            sa.BigInteger(),
            nullable=True,
            comment="of the newest try, stamped around user code",
        ),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_instance")),
        sa.UniqueConstraint(
            "run_pk", "task_id", "map_index", name=op.f("uq_task_instance_run_pk_task_id_map_index")
        ),
    )
    op.create_index(
        "ix_task_instance_occupying",
        "task_instance",
        ["state", "pool", "dag_pk", "executor", "slots"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'running')"),
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_index(
        "ix_task_instance_scheduled",
        "task_instance",
        ["executor", "priority", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'scheduled'"),
        postgresql_where=sa.text("state = 'scheduled'"),
    )
    op.create_table(
        "ti_history",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("ti_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("old", sa.Text(), nullable=False),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False, comment="incarnation or user"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ti_history")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_ti_history_ti_id_version", "ti_history", ["ti_id", "version"], unique=True)
    op.create_table(
        "timer",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("run_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("ti_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.Text(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timer")),
    )
    op.create_index(op.f("ix_timer_due_at"), "timer", ["due_at"], unique=False)
    op.create_table(
        "trigger",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("ti_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("class_path", sa.Text(), nullable=False),
        sa.Column("kwargs", sa.Text(), server_default="{}", nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("timeout_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trigger")),
        sa.UniqueConstraint("ti_id", "epoch", name=op.f("uq_trigger_ti_id_epoch")),
    )
    op.create_table(
        "waiter",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("run_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ti_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiter")),
        sa.UniqueConstraint("kind", "key", "run_pk", "ti_id", name=op.f("uq_waiter_kind_key_run_pk_ti_id")),
    )
    op.create_table(
        "wakeup",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("run_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "ti_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="null wakes the run as a whole",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wakeup")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_wakeup_run_pk", "wakeup", ["run_pk"], unique=False)
    op.create_table(
        "xcom",
        sa.Column(
            "run_pk",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("map_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False, comment="JSON"),
        sa.Column("ti_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_pk", "task_id", "map_index", "key", name=op.f("pk_xcom")),
    )
    op.create_table(
        "dag_version",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("dag_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("structure_hash", sa.Text(), nullable=False),
        sa.Column("structure", sa.Text(), nullable=False, comment="canonical JSON of DagSpec; never changed"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["dag_pk"], ["dag.id"], name=op.f("fk_dag_version_dag_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dag_version")),
        sa.UniqueConstraint("dag_pk", "number", name=op.f("uq_dag_version_dag_pk_number")),
        sa.UniqueConstraint("dag_pk", "structure_hash", name=op.f("uq_dag_version_dag_pk_structure_hash")),
    )


def downgrade() -> None:
    """Remove all tables and what is in them."""
    op.drop_table("dag_version")
    op.drop_table("xcom")
    op.drop_index("ix_wakeup_run_pk", table_name="wakeup")
    op.drop_table("wakeup")
    op.drop_table("waiter")
    op.drop_table("trigger")
    op.drop_index(op.f("ix_timer_due_at"), table_name="timer")
    op.drop_table("timer")
    op.drop_index("uq_ti_history_ti_id_version", table_name="ti_history")
    op.drop_table("ti_history")
    op.drop_index(
        "ix_task_instance_scheduled",
        table_name="task_instance",
        sqlite_where=sa.text("state = 'scheduled'"),
        postgresql_where=sa.text("state = 'scheduled'"),
    )
    op.drop_index(
        "ix_task_instance_occupying",
        table_name="task_instance",
        sqlite_where=sa.text("state IN ('queued', 'running')"),
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.drop_table("task_instance")
    op.drop_index(op.f("ix_schedule_cursor_next_tick_at"), table_name="schedule_cursor")
    op.drop_table("schedule_cursor")
    op.drop_index(op.f("ix_run_history_run_pk"), table_name="run_history")
    op.drop_table("run_history")
    op.drop_table("process")
    op.drop_table("meta")
    op.drop_table("limit_row")
    op.drop_index("ix_limit_history_kind_name", table_name="limit_history")
    op.drop_table("limit_history")
    op.drop_index(op.f("ix_import_error_path"), table_name="import_error")
    op.drop_table("import_error")
    op.drop_table("event")
    op.drop_index("ix_dispatch_executor_queue_priority", table_name="dispatch")
    op.drop_table("dispatch")
    op.drop_index(
        "uq_dag_run_dag_pk_run_type_logical_date",
        table_name="dag_run",
        sqlite_where=sa.text("run_type <> 'manual'"),
        postgresql_where=sa.text("run_type <> 'manual'"),
    )
    op.drop_index(
        "ix_dag_run_open",
        table_name="dag_run",
        sqlite_where=sa.text("state IN ('queued', 'running')"),
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.drop_index("ix_dag_run_dag_pk_created_at", table_name="dag_run")
    op.drop_table("dag_run")
    op.drop_table("dag_file")
    op.drop_table("dag")
    op.drop_table("callback_outbox")
    op.drop_table("audit")
    op.drop_index(
        "ix_attempt_open",
        table_name="attempt",
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.drop_table("attempt")
