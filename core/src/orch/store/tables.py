"""The tables of orch's own schema. Times are whole microseconds since 1970 UTC.

Insert-only hot tables (history, dispatch, wakeup, attempt, xcom) have no foreign keys: a key check would lock
the parent row and serialise the writers (docs/adr/0003-state-store.md).
"""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Micros = sa.BigInteger


def _id() -> sa.Column[int]:
    return sa.Column("id", BigId, primary_key=True, autoincrement=True)


dag = sa.Table(
    "dag",
    metadata,
    _id(),
    sa.Column("dag_id", sa.Text, nullable=False, unique=True),
    sa.Column("file", sa.Text, nullable=False, comment="path relative to the dags folder"),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("schedule", sa.Text),
    sa.Column("tags", sa.Text, nullable=False, server_default="[]", comment="JSON list"),
    sa.Column("owner", sa.Text, nullable=False, server_default=""),
    sa.Column("is_paused", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("is_missing", sa.Boolean, nullable=False, server_default=sa.false(), comment="file gone"),
    sa.Column("max_active_runs", sa.Integer, comment="null: the default of the settings"),
    sa.Column("max_active_tasks", sa.Integer, comment="null: the default of the settings"),
    sa.Column("current_version_id", BigId, comment="dag_version.id of new runs"),
    sa.Column("source_rev", sa.Text, nullable=False, server_default=""),
    sa.Column("bundle_id", BigId, comment="bundle.id of new runs: a stored state of the dags folder"),
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("updated_at", Micros, nullable=False),
)

dag_version = sa.Table(
    "dag_version",
    metadata,
    _id(),
    sa.Column("dag_pk", BigId, sa.ForeignKey("dag.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("structure_hash", sa.Text, nullable=False),
    sa.Column("structure", sa.Text, nullable=False, comment="canonical JSON of DagSpec; never changed"),
    sa.Column("created_at", Micros, nullable=False),
    sa.UniqueConstraint("dag_pk", "structure_hash"),
    sa.UniqueConstraint("dag_pk", "number"),
)

dag_revision = sa.Table(
    "dag_revision",
    metadata,
    _id(),
    sa.Column("dag_pk", BigId, nullable=False),
    sa.Column("dag_version_id", BigId, nullable=False),
    sa.Column("source_rev", sa.Text, nullable=False, comment="hash of the file and what its import used"),
    sa.Column("bundle_id", BigId, comment="the first bundle with these sources; null when none was stored"),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column(
        "sources",
        sa.Text,
        nullable=False,
        server_default="{}",
        comment="JSON object: path -> digest, of source_rev",
    ),
    sa.Column("created_at", Micros, nullable=False),
    sa.UniqueConstraint("dag_pk", "dag_version_id", "source_rev"),
)

bundle = sa.Table(
    "bundle",
    metadata,
    _id(),
    sa.Column("hash", sa.Text, nullable=False, unique=True, comment="of `files`"),
    sa.Column(
        "files", sa.Text, nullable=False, comment="JSON object: relative path -> content hash; never changed"
    ),
    sa.Column("created_at", Micros, nullable=False),
)

blob = sa.Table(
    "blob",
    metadata,
    sa.Column("hash", sa.Text, primary_key=True, comment="SHA-256 of the content"),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Micros, nullable=False),
)

dag_file = sa.Table(
    "dag_file",
    metadata,
    sa.Column("path", sa.Text, primary_key=True, comment="relative to the dags folder"),
    sa.Column("content_hash", sa.Text, nullable=False, comment="of the file and its local modules"),
    sa.Column(
        "stat_key", sa.Text, nullable=False, server_default="", comment="sizes and mtimes: cheap check"
    ),
    sa.Column("modules", sa.Text, nullable=False, server_default="[]", comment="JSON list of relative paths"),
    sa.Column("dag_ids", sa.Text, nullable=False, server_default="[]", comment="JSON list"),
    sa.Column("parsed_at", Micros, nullable=False),
    sa.Column("parse_seconds", sa.Float, nullable=False, server_default="0"),
)

import_error = sa.Table(
    "import_error",
    metadata,
    _id(),
    sa.Column("path", sa.Text, nullable=False, index=True),
    sa.Column("line", sa.Integer),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("traceback", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", Micros, nullable=False),
)

dag_run = sa.Table(
    "dag_run",
    metadata,
    _id(),
    sa.Column("dag_pk", BigId, nullable=False),
    sa.Column("dag_id", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("run_type", sa.Text, nullable=False, comment="manual, scheduled, backfill, asset"),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, server_default="1", comment="bumped by each change"),
    sa.Column("dag_version_id", BigId, nullable=False),
    sa.Column("source_rev", sa.Text, nullable=False, server_default=""),
    sa.Column("logical_date", Micros),
    sa.Column("data_interval_start", Micros),
    sa.Column("data_interval_end", Micros),
    sa.Column("run_after", Micros, nullable=False),
    sa.Column("conf", sa.Text, nullable=False, server_default="{}"),
    sa.Column("idem_key", sa.Text),
    sa.Column("body_hash", sa.Text),
    sa.Column("due_at", Micros, comment="when the scheduler looks next without being woken"),
    sa.Column("reason", sa.Text, comment="why a queued run is not promoted"),
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("started_at", Micros),
    sa.Column("ended_at", Micros),
    sa.Column("triggered_by", sa.Text, nullable=False, server_default=""),
    sa.Column("note", sa.Text),
    sa.Column("bundle_id", BigId, comment="null: its tasks run the files as they are now"),
    sa.Column("backfill_id", BigId, comment="backfill.id that made it"),
    sa.UniqueConstraint("dag_pk", "run_id"),
    sa.UniqueConstraint("dag_pk", "idem_key"),
    sa.Index("uq_dag_run_dag_pk_run_type_logical_date", "dag_pk", "run_type", "logical_date", unique=True,
             sqlite_where=sa.text("run_type NOT IN ('manual', 'backfill')"),
             postgresql_where=sa.text("run_type NOT IN ('manual', 'backfill')")),
    sa.Index("uq_dag_run_backfill_id_logical_date", "backfill_id", "logical_date", unique=True,
             sqlite_where=sa.text("backfill_id IS NOT NULL"),
             postgresql_where=sa.text("backfill_id IS NOT NULL")),
    sa.Index("ix_dag_run_open_of_dag", "dag_pk", "state", "run_type",
             sqlite_where=sa.text("state IN ('queued', 'running')"),
             postgresql_where=sa.text("state IN ('queued', 'running')")),
    sa.Index("ix_dag_run_queued", "backfill_id", "dag_pk", "run_after", "id",
             sqlite_where=sa.text("state = 'queued'"), postgresql_where=sa.text("state = 'queued'")),
    sa.Index("ix_dag_run_order", "dag_pk", sa.text("COALESCE(logical_date, run_after)"), "id"),
    sa.Index("ix_dag_run_dag_pk_created_at", "dag_pk", "created_at"),
    sa.Index("ix_dag_run_bundle_id", "bundle_id",
             sqlite_where=sa.text("bundle_id IS NOT NULL"), postgresql_where=sa.text("bundle_id IS NOT NULL")),
    sa.Index("ix_dag_run_open", "state", "due_at",
             sqlite_where=sa.text("state IN ('queued', 'running')"),
             postgresql_where=sa.text("state IN ('queued', 'running')")),
)  # fmt: skip

task_instance = sa.Table(
    "task_instance",
    metadata,
    _id(),
    sa.Column("run_pk", BigId, nullable=False),
    sa.Column("dag_pk", BigId, nullable=False),
    sa.Column("task_id", sa.Text, nullable=False),
    sa.Column("map_index", sa.Integer, nullable=False, server_default="-1"),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, server_default="0", comment="history rows so far"),
    sa.Column("epoch", sa.Integer, nullable=False, server_default="0", comment="grants of the right to run"),
    sa.Column("try_number", sa.Integer, nullable=False, server_default="0", comment="tries started"),
    sa.Column("next_try", sa.Integer, nullable=False, server_default="1", comment="number of the next start"),
    sa.Column("max_tries", sa.Integer, nullable=False, server_default="1"),
    sa.Column("infra_losses", sa.Integer, nullable=False, server_default="0"),
    sa.Column("dag_version_id", BigId, nullable=False),
    sa.Column("source_rev", sa.Text, nullable=False, server_default=""),
    sa.Column("pool", sa.Text, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False, server_default="1"),
    sa.Column("priority", sa.Integer, nullable=False, server_default="1"),
    sa.Column("head_start", Micros, nullable=False, server_default="0", comment="what its priority is worth"),
    sa.Column("lane", sa.Text, nullable=False, server_default="", comment="what is admitted one after the other"),
    sa.Column("executor", sa.Text, nullable=False),
    sa.Column("queue", sa.Text, nullable=False, server_default="default"),
    sa.Column("reason", sa.Text, comment="code of domain.reasons: why it is where it is"),
    sa.Column("reason_detail", sa.Text),
    sa.Column("state_since", Micros, nullable=False),
    sa.Column("due_at", Micros, comment="up_for_retry, up_for_reschedule: not before"),
    sa.Column("started_at", Micros, comment="of the newest try, stamped around user code"),
    sa.Column("ended_at", Micros),
    sa.UniqueConstraint("run_pk", "task_id", "map_index"),
    sa.Index("ix_task_instance_waiting", "pool", "executor", "dag_pk", "lane", sa.text("(state_since - head_start)"),
             "id", sqlite_where=sa.text("state = 'scheduled'"), postgresql_where=sa.text("state = 'scheduled'")),
    sa.Index("ix_task_instance_taking", "state", "pool", "dag_pk", "executor", "lane", "slots",
             sqlite_where=sa.text("state IN ('queued', 'running')"),
             postgresql_where=sa.text("state IN ('queued', 'running')")),
)  # fmt: skip

attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("ti_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("try_number", sa.Integer, nullable=False),
    sa.Column("nonce_hash", sa.Text, nullable=False, unique=True),
    sa.Column("holder", sa.Text, nullable=False, comment="incarnation of the worker"),
    sa.Column("claimed_at", Micros, nullable=False),
    sa.Column("started_at", Micros),
    sa.Column("ended_at", Micros),
    sa.Column(
        "outcome",
        sa.Text,
        comment="null while open; success, failed, skipped: as reported; interrupted, lost, revoked: without a report",
    ),
    sa.Column("error", sa.Text, comment="one line for people"),
    sa.Column("exit", sa.Text, comment="exit code or signal of the task process"),
    sa.Column("log_path", sa.Text, comment="relative to the logs folder"),
    sa.Index("ix_attempt_open", "holder", sqlite_where=sa.text("outcome IS NULL"),
             postgresql_where=sa.text("outcome IS NULL")),
)  # fmt: skip

ti_history = sa.Table(
    "ti_history",
    metadata,
    sa.Column("seq", BigId, primary_key=True, autoincrement=True),
    sa.Column("ti_id", BigId, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("old", sa.Text, nullable=False),
    sa.Column("new", sa.Text, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("try_number", sa.Integer, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("actor_id", sa.Text, nullable=False, comment="incarnation or user"),
    sa.Column("reason", sa.Text),
    sa.Column("at", Micros, nullable=False),
    sa.Index("uq_ti_history_ti_id_version", "ti_id", "version", unique=True),
    sqlite_autoincrement=True,
)

run_history = sa.Table(
    "run_history",
    metadata,
    sa.Column("seq", BigId, primary_key=True, autoincrement=True),
    sa.Column("run_pk", BigId, nullable=False, index=True),
    sa.Column("old", sa.Text, nullable=False),
    sa.Column("new", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("actor_id", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("at", Micros, nullable=False),
    sqlite_autoincrement=True,
)

dispatch = sa.Table(
    "dispatch",
    metadata,
    sa.Column("ti_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("run_pk", BigId, nullable=False),
    sa.Column("executor", sa.Text, nullable=False),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("head_start", Micros, nullable=False, server_default="0", comment="of its task instance"),
    sa.Column("created_at", Micros, nullable=False, comment="in the order of admission"),
    sa.Column("sent_at", Micros),
    sa.Index("ix_dispatch_executor_queue_priority", "executor", "queue", "priority", "ti_id"),
)

wakeup = sa.Table(
    "wakeup",
    metadata,
    _id(),
    sa.Column("run_pk", BigId, nullable=False),
    sa.Column("ti_id", BigId, comment="null wakes the run as a whole"),
    sa.Column("created_at", Micros, nullable=False),
    sa.Index("ix_wakeup_run_pk", "run_pk"),
    sqlite_autoincrement=True,
)

waiter = sa.Table(
    "waiter",
    metadata,
    _id(),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("run_pk", BigId, nullable=False),
    sa.Column("ti_id", BigId),
    sa.UniqueConstraint("kind", "key", "run_pk", "ti_id"),
    sa.Index("ix_waiter_run_pk", "run_pk"),
)

timer = sa.Table(
    "timer",
    metadata,
    _id(),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("run_pk", BigId),
    sa.Column("ti_id", BigId),
    sa.Column("epoch", sa.Integer),
    sa.Column("due_at", Micros, nullable=False, index=True),
    sa.Column("payload", sa.Text, nullable=False, server_default="{}"),
)

trigger = sa.Table(
    "trigger",
    metadata,
    _id(),
    sa.Column("ti_id", BigId, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("class_path", sa.Text, nullable=False),
    sa.Column("kwargs", sa.Text, nullable=False, server_default="{}"),
    sa.Column("holder", sa.Text),
    sa.Column("timeout_at", Micros),
    sa.Column("created_at", Micros, nullable=False),
    sa.UniqueConstraint("ti_id", "epoch"),
)

callback_outbox = sa.Table(
    "callback_outbox",
    metadata,
    _id(),
    sa.Column("run_pk", BigId, nullable=False),
    sa.Column("ti_id", BigId),
    sa.Column("try_number", sa.Integer, nullable=False, server_default="0"),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False, server_default="{}"),
    sa.Column("deliveries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("delivered_at", Micros),
    sa.Column("created_at", Micros, nullable=False),
    sa.UniqueConstraint("run_pk", "ti_id", "try_number", "kind"),
)

event = sa.Table(
    "event",
    metadata,
    _id(),
    sa.Column("position", BigId, unique=True, comment="stamped by one sequencer after commit"),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False, server_default="{}"),
    sa.Column("created_at", Micros, nullable=False),
)

xcom = sa.Table(
    "xcom",
    metadata,
    sa.Column("run_pk", BigId, primary_key=True, autoincrement=False),
    sa.Column("task_id", sa.Text, primary_key=True),
    sa.Column("map_index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False, comment="JSON"),
    sa.Column("ti_id", BigId, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("created_at", Micros, nullable=False),
)

schedule_cursor = sa.Table(
    "schedule_cursor",
    metadata,
    sa.Column("dag_pk", BigId, primary_key=True, autoincrement=False),
    sa.Column("last_tick_at", Micros, comment="newest tick that has its run or was skipped on purpose"),
    sa.Column("next_tick_at", Micros, index=True, comment="null: nothing to come"),
    sa.Column("schedule_hash", sa.Text, nullable=False, server_default=""),
    sa.Column("changed_at", Micros, nullable=False, server_default="0", comment="when this schedule was first seen"),
    sa.Column("since_tick_at", Micros, comment="first tick dealt with under this schedule"),
    sa.Column("follows_end", sa.Boolean, nullable=False, server_default=sa.false(),
              comment="continuous: no run while one is open"),
)  # fmt: skip

backfill = sa.Table(
    "backfill",
    metadata,
    _id(),
    sa.Column("dag_pk", BigId, nullable=False, index=True),
    sa.Column("dag_id", sa.Text, nullable=False),
    sa.Column("dag_version_id", BigId, nullable=False, comment="whose schedule gives the dates"),
    sa.Column("state", sa.Text, nullable=False, comment="running, paused, completed, cancelled"),
    sa.Column("state_since", Micros, nullable=False),
    sa.Column("from_date", Micros, nullable=False, comment="first logical date, included"),
    sa.Column("to_date", Micros, nullable=False, comment="last logical date, included"),
    sa.Column("run_backwards", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("reprocess", sa.Text, nullable=False, comment="none, failed, completed"),
    sa.Column("max_active_runs", sa.Integer, nullable=False),
    sa.Column("conf", sa.Text, nullable=False, server_default="{}"),
    sa.Column("body_hash", sa.Text, nullable=False, comment="equal requests have equal hashes"),
    sa.Column("dates", sa.Integer, nullable=False, comment="how many it has when it was made"),
    sa.Column("position", Micros, comment="newest logical date dealt with; null before the first"),
    sa.Column("created_by", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("ended_at", Micros),
    sa.Index("ix_backfill_open", "state", sqlite_where=sa.text("ended_at IS NULL"),
             postgresql_where=sa.text("ended_at IS NULL")),
)  # fmt: skip

backfill_date = sa.Table(
    "backfill_date",
    metadata,
    sa.Column("backfill_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("logical_date", Micros, primary_key=True, autoincrement=False),
    sa.Column("outcome", sa.Text, nullable=False, comment="created, or why not"),
    sa.Column("run_pk", BigId, comment="the run it made, or the one that stood in the way"),
    sa.Column("at", Micros, nullable=False),
)

limit_row = sa.Table(
    "limit_row",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True, comment="pool, dag_runs, dag_tasks, task, run_task, executor"),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("size", sa.Integer, nullable=False, comment="-1: no limit"),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("saturated_since", Micros, comment="since when somebody waits for it"),
    sa.Index("ix_limit_row_saturated", "kind", "name", sqlite_where=sa.text("saturated_since IS NOT NULL"),
             postgresql_where=sa.text("saturated_since IS NOT NULL")),
)  # fmt: skip

turn = sa.Table(
    "turn",
    metadata,
    sa.Column("pool", sa.Text, primary_key=True),
    sa.Column("dag_pk", BigId, primary_key=True, autoincrement=False),
    sa.Column("served_at", Micros, nullable=False, comment="when the DAG last got a slot of the pool"),
)

limit_history = sa.Table(
    "limit_history",
    metadata,
    sa.Column("seq", BigId, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("after_ti_seq", BigId, nullable=False, comment="in force for history rows after this one"),
    sa.Column("at", Micros, nullable=False),
    sa.Index("ix_limit_history_kind_name", "kind", "name"),
    sqlite_autoincrement=True,
)

process = sa.Table(
    "process",
    metadata,
    sa.Column("incarnation", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, nullable=False, comment="scheduler, worker, dag_processor, up"),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("boot_id", sa.Text, nullable=False, server_default=""),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("lock_path", sa.Text, comment="held with lockf while it lives; a free lock proves death"),
    sa.Column("address", sa.Text, comment="datagram socket for wake-up hints"),
    sa.Column("capacity", sa.Integer, nullable=False, server_default="0"),
    sa.Column("info", sa.Text, nullable=False, server_default="{}"),
    sa.Column("started_at", Micros, nullable=False),
    sa.Column("heartbeat_at", Micros, nullable=False),
    sa.Column("lease_until", Micros, nullable=False),
    sa.Column("ended_at", Micros, comment="null while it may live"),
)

audit = sa.Table(
    "audit",
    metadata,
    _id(),
    sa.Column("at", Micros, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False, server_default="{}", comment="JSON without secret values"),
    sqlite_autoincrement=True,
)

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    comment="facts on this database: id, protocol version",
)
