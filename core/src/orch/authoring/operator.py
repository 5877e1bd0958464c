"""BaseOperator: what all tasks have in common, and the class that authors derive their own from."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from orch.authoring import checks
from orch.authoring.arguments import LATER_TASK_ARGUMENTS, refuse_unknown
from orch.authoring.construction import OperatorMeta
from orch.authoring.current import current_dag
from orch.authoring.edges import TaskLike
from orch.authoring.inputs import find_inputs
from orch.authoring.xcomarg import XComArg
from orch.domain.dagspec import RetrySpec, TaskSpec
from orch.domain.isolation import Isolation
from orch.errors import DagDefinitionError
from orch.ids import check_id

if TYPE_CHECKING:  # a DAG is made of operators, so a real import would be circular
    from orch.authoring.dag import DAG

OPTIONS: dict[str, checks.Check] = {
    "retries": checks.whole(0, checks.LARGEST - 1),
    "retry_delay": checks.span,
    "retry_exponential_backoff": checks.multiplier,
    "max_retry_delay": checks.optional(checks.span),
    "execution_timeout": checks.optional(checks.positive_span),
    "trigger_rule": checks.trigger_rule,
    "pool": checks.name,
    "pool_slots": checks.whole(1),
    "priority_weight": checks.whole(-checks.LARGEST),
    "weight_rule": checks.name,
    "max_active_tis_per_dag": checks.optional(checks.whole(1)),
    "max_active_tis_per_dagrun": checks.optional(checks.whole(1)),
    "depends_on_past": checks.switch,
    "wait_for_downstream": checks.switch,
    "queue": checks.name,
    "executor": checks.optional(checks.name),
    "isolation": checks.optional(checks.one_of(Isolation)),
    "do_xcom_push": checks.switch,
    "owner": checks.text,
    "doc_md": checks.optional(checks.text),
}
"""Each argument that every operator takes, with the check of its value."""


class BaseOperator(TaskLike, metaclass=OperatorMeta):
    """One task of a DAG. Derive from it, keep arguments as attributes, and do the work in `execute`.

        class Greet(BaseOperator):
            template_fields = ("name",)  # may be the result of another task

            def __init__(self, *, name, **kwargs):
                super().__init__(**kwargs)
                self.name = name

            def execute(self, context):
                return f"Hello {self.name}"

    Spans are timedelta or seconds. `retry_exponential_backoff=True` doubles the delay with each retry, a number
    multiplies it; `max_retry_delay` caps it. `execution_timeout` ends one try. `trigger_rule` says on which
    upstream states it runs. It takes `pool_slots` slots of `pool` while it runs; a higher `priority_weight` goes
    first. `executor` None means the one of the settings, and so does `isolation`: "reuse" shares a process with
    tasks before and after it, "fork" takes a fresh one. `do_xcom_push=False` drops what `execute` returns.
    """

    template_fields: ClassVar[Sequence[str]] = ()
    """Attributes that may hold results of other tasks; they hold values when `execute` is called."""
    literal_fields: ClassVar[frozenset[str]] = frozenset()
    """Template fields whose texts are data, so that `{{ ... }}` in them means nothing."""
    operator_name: ClassVar[str | None] = None
    """What people see as the kind of task; the class name unless set."""
    later_arguments: ClassVar[frozenset[str]] = frozenset()
    """Arguments of this class, by name, that this release refuses."""
    does_nothing: ClassVar[bool] = False
    """True when there is no work in `execute`, so that no process is needed for it."""
    base_attributes: ClassVar[frozenset[str]] = frozenset(
        {*OPTIONS, "task_id", "dag", "_upstream", "_downstream"}
    )

    argument_names: ClassVar[frozenset[str]]

    def __init__(
        self,
        task_id: str,
        *,
        dag: "DAG | None" = None,
        retries: int = 0,
        retry_delay: timedelta | float = timedelta(minutes=5),
        retry_exponential_backoff: bool | float = False,
        max_retry_delay: timedelta | float | None = None,
        execution_timeout: timedelta | float | None = None,
        trigger_rule: str = "all_success",
        pool: str = "default",
        pool_slots: int = 1,
        priority_weight: int = 1,
        weight_rule: str = "absolute",
        max_active_tis_per_dag: int | None = None,
        max_active_tis_per_dagrun: int | None = None,
        depends_on_past: bool = False,
        wait_for_downstream: bool = False,
        queue: str = "default",
        executor: str | None = None,
        isolation: str | None = None,
        do_xcom_push: bool = True,
        owner: str = "",
        doc_md: str | None = None,
        **unknown: Any,
    ) -> None:
        self.task_id = check_id("task", task_id)
        self.dag = dag or current_dag()
        self._upstream: dict[str, BaseOperator] = {}
        self._downstream: dict[str, BaseOperator] = {}
        later = LATER_TASK_ARGUMENTS | type(self).later_arguments
        refuse_unknown(str(self), unknown, self.argument_names, later)
        if type(self).execute is BaseOperator.execute:
            raise DagDefinitionError(f"{type(self).__name__} has no `execute(self, context)`; add one")
        self.retries = retries
        self.retry_delay = retry_delay
        self.retry_exponential_backoff = retry_exponential_backoff
        self.max_retry_delay = max_retry_delay
        self.execution_timeout = execution_timeout
        self.trigger_rule = trigger_rule
        self.pool = pool
        self.pool_slots = pool_slots
        self.priority_weight = priority_weight
        self.weight_rule = weight_rule
        self.max_active_tis_per_dag = max_active_tis_per_dag
        self.max_active_tis_per_dagrun = max_active_tis_per_dagrun
        self.depends_on_past = depends_on_past
        self.wait_for_downstream = wait_for_downstream
        self.queue = queue
        self.executor = executor
        self.isolation = isolation
        self.do_xcom_push = do_xcom_push
        self.owner = owner
        self.doc_md = doc_md
        for name, check in OPTIONS.items():
            checks.checked(self, name, getattr(self, name), check)

    # For operators to override

    def pre_execute(self, context: Mapping[str, Any]) -> None:
        """Called right before `execute`; what it raises ends the try like an error of `execute`."""

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Do the work; what it returns, if not None, is the task's result for others."""
        raise NotImplementedError

    def post_execute(self, context: Mapping[str, Any], result: Any = None) -> None:
        """Called with the result right after a successful `execute`."""

    def on_kill(self) -> None:
        """Called in the task process when the try is ended from outside or by its timeout: end what it started."""

    # The graph

    @property
    def output(self) -> XComArg:
        """The result of this task, to be used as an argument of others."""
        return XComArg(self)

    @property
    def linked_tasks(self) -> "Sequence[BaseOperator]":
        """The task itself."""
        return (self,)

    @property
    def upstream_task_ids(self) -> set[str]:
        """The tasks that this one waits for directly."""
        return set(self._upstream)

    @property
    def downstream_task_ids(self) -> set[str]:
        """The tasks that wait for this one directly."""
        return set(self._downstream)

    def connect(self, downstream: "BaseOperator") -> None:
        """Let one task wait for this one; the same edge again changes nothing."""
        for task in (self, downstream):
            if task.dag is None:
                raise DagDefinitionError(
                    f"{task} belongs to no DAG, so it can have no edges; make it inside `with DAG(...)` or pass dag="
                )
        if self.dag is not downstream.dag:
            raise DagDefinitionError(
                f"no edge can lead from {self} to {downstream}: they are in different DAGs"
            )
        self._downstream[downstream.task_id] = downstream
        downstream._upstream[self.task_id] = self  # noqa: SLF001 - both ends of the edge are of this class

    def link_inputs(self) -> tuple[tuple[str, str], ...]:
        """Make an edge from each task whose result this one uses; return their sorted (task_id, key)."""
        inputs = find_inputs(self)
        for argument in inputs:
            argument.operator.connect(self)
        return tuple(sorted({(argument.operator.task_id, argument.key) for argument in inputs}))

    # The serialised form

    def to_spec(self) -> TaskSpec:
        """Return everything but the code, as the scheduler needs it; the attributes are checked once more."""
        inputs = self.link_inputs()
        options = {
            name: checks.checked(self, name, getattr(self, name), check) for name, check in OPTIONS.items()
        }
        timeout = options["execution_timeout"]
        return TaskSpec(
            task_id=self.task_id,
            operator=self.operator_name or type(self).__name__,
            upstream=tuple(sorted(self._upstream)),
            trigger_rule=options["trigger_rule"].value,
            retry=_retry_spec(options),
            pool=options["pool"],
            pool_slots=options["pool_slots"],
            priority_weight=options["priority_weight"],
            weight_rule=options["weight_rule"],
            max_active_tis_per_dag=options["max_active_tis_per_dag"],
            max_active_tis_per_dagrun=options["max_active_tis_per_dagrun"],
            depends_on_past=options["depends_on_past"] or options["wait_for_downstream"],
            wait_for_downstream=options["wait_for_downstream"],
            executor=options["executor"],
            queue=options["queue"],
            isolation=options["isolation"],
            execution_timeout_seconds=None if timeout is None else timeout.total_seconds(),
            inputs=inputs,
            doc=options["doc_md"] or "",
            owner=options["owner"],
            empty=self.does_nothing,
        )

    def __str__(self) -> str:
        return f"task {self.task_id!r}" + ("" if self.dag is None else f" of DAG {self.dag.dag_id!r}")

    def __repr__(self) -> str:
        return f"<{self.operator_name or type(self).__name__} {str(self).removeprefix('task ')}>"


def _retry_spec(options: Mapping[str, Any]) -> RetrySpec:
    cap = options["max_retry_delay"]
    return RetrySpec(
        retries=options["retries"],
        delay_seconds=options["retry_delay"].total_seconds(),
        multiplier=options["retry_exponential_backoff"],
        max_delay_seconds=None if cap is None else cap.total_seconds(),
    )
