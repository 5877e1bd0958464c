"""The task command: all that a task process needs to know to run one attempt, as a frozen value and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from orch.clock import isoformat
from orch.errors import BadInput

COMMAND_FORMAT = 1
"""Version of the JSON layout; a reader refuses a newer one."""

_MOMENTS = ("logical_date", "data_interval_start", "data_interval_end", "run_after")

Input = tuple[str, str, int, str | None]
"""(task_id, key, map_index, JSON text of the value or None when there is no such XCom)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCommand:
    """One attempt of one task instance. Whoever reports its outcome brings `ti_id`, `epoch` and `nonce`."""

    ti_id: int
    epoch: int
    nonce: str = field(repr=False)
    """The right to report this attempt; never printed."""
    dag_id: str
    run_id: str
    run_type: str = "manual"
    task_id: str
    map_index: int = -1
    """-1 when the task is not mapped."""
    try_number: int = 1
    max_tries: int = 1
    logical_date: datetime | None = None
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    run_after: datetime | None = None
    conf: Mapping[str, Any] = field(default_factory=dict)
    dag_file: str
    """Absolute path of the file that defines the DAG."""
    dags_folder: str
    """Absolute path; importable while the file is loaded."""
    inputs: tuple[Input, ...] = ()
    """The XComs that the task's arguments name, read with the claim."""
    inputs_left_out: bool = False
    """True when `inputs` were too large for the command: a value that is None there must be asked for."""
    execution_timeout_seconds: float | None = None
    xcom_max_bytes: int = 1_048_576

    def to_json(self) -> str:
        """Return the command as one line of JSON."""
        body = {name: getattr(self, name) for name in _NAMES}
        for name in _MOMENTS:
            body[name] = isoformat(body[name])
        body["conf"] = dict(self.conf)
        body["format"] = COMMAND_FORMAT
        return _encode(body)

    @classmethod
    def from_json(cls, text: str) -> "TaskCommand":
        """Read what `to_json` wrote; unknown fields of a newer minor release are ignored."""
        body = json.loads(text)
        if body.get("format", COMMAND_FORMAT) > COMMAND_FORMAT:
            raise BadInput("the task command was written by a newer release of orch; upgrade this worker")
        values = {name: body[name] for name in _NAMES if name in body}
        for name in _MOMENTS:
            if values.get(name) is not None:
                values[name] = datetime.fromisoformat(values[name])
        values["inputs"] = tuple(tuple(item) for item in values.get("inputs", ()))
        return cls(**values)


_NAMES = tuple(field.name for field in fields(TaskCommand))
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
