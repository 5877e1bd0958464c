"""Arguments: which names DAGs and operators know, which come in a later release, and which are mistakes."""

from collections.abc import Iterable, Mapping
from typing import Any

from orch.errors import DagDefinitionError, NotBuiltYet, nearest

LATER_DAG_ARGUMENTS = frozenset(
    {
        "template_searchpath",
        "template_undefined",
        "user_defined_macros",
        "user_defined_filters",
        "max_consecutive_failed_dag_runs",
        "deadline",
        "on_success_callback",
        "on_failure_callback",
        "params",
        "access_control",
        "jinja_environment_kwargs",
        "render_template_as_native_obj",
        "owner_links",
        "auto_register",
        "allowed_run_types",
        "dag_display_name",
        "disable_bundle_versioning",
        "rerun_with_latest_version",
        "sla_miss_callback",
    }
)

LATER_TASK_ARGUMENTS = frozenset(
    {
        "email",
        "email_on_retry",
        "email_on_failure",
        "retry_policy",
        "start_date",
        "end_date",
        "ignore_first_depends_on_past",
        "wait_for_past_depends_before_skipping",
        "params",
        "default_args",
        "on_execute_callback",
        "on_failure_callback",
        "on_success_callback",
        "on_retry_callback",
        "on_skipped_callback",
        "pre_execute",
        "post_execute",
        "resources",
        "run_as_user",
        "map_index_template",
        "executor_config",
        "multiple_outputs",
        "inlets",
        "outlets",
        "task_group",
        "doc",
        "doc_json",
        "doc_yaml",
        "doc_rst",
        "task_display_name",
        "logger_name",
        "allow_nested_operators",
        "render_template_as_native_obj",
        "sla",
    }
)

_RENAMED = {
    "schedule_interval": "schedule",
    "timetable": "schedule",
    "concurrency": "max_active_tasks",
    "fail_stop": "fail_fast",
    "dag_name": "dag_id",
    "task_name": "task_id",
}

_OFF = (None, False)
"""Values that leave a feature off; a later release's argument may be given with one of them."""


def refuse_unknown(thing: str, given: Mapping[str, Any], known: Iterable[str], later: frozenset[str]) -> None:
    """Raise for the first argument of `given` that `thing` cannot have; return when all merely say 'off'."""
    for name, value in given.items():
        if name in later:
            if not any(value is off for off in _OFF):
                raise NotBuiltYet(f"{thing}: {name!r} comes in a later release of orch; leave it out")
        elif name in _RENAMED:
            raise DagDefinitionError(f"{thing}: unknown argument {name!r}; its name is {_RENAMED[name]!r}")
        else:
            hint = nearest(name, {*known, *later})
            raise DagDefinitionError(f"{thing}: unknown argument {name!r}{hint}")
