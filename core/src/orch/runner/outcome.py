"""The outcome: how one attempt ended, as the task process reports it."""

import json
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal

from orch.clock import isoformat
from orch.errors import BadInput

OUTCOME_FORMAT = 1
"""Version of the JSON layout; a reader refuses a newer one."""

Kind = Literal["success", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one attempt; whether a failure is tried again is decided by whoever gets the report."""

    kind: Kind
    started_at: datetime
    """Aware UTC, stamped in the task process right before user code, as `ended_at` is right after it."""
    ended_at: datetime
    error: str | None = None
    """One line for people: why it failed or was skipped."""
    traceback: str | None = None
    retryable: bool = True
    """False when another try cannot end differently, so that none is made."""
    reason: str | None = None
    """Code of the cause, such as 'execution_timeout'."""
    xcoms: tuple[tuple[str, str], ...] = ()
    """(key, JSON text) of each value for other tasks, each key once; stored together with the outcome."""

    def to_json(self) -> str:
        """Return the outcome as one line of JSON."""
        body = {f.name: getattr(self, f.name) for f in fields(self)}
        body["started_at"], body["ended_at"] = isoformat(self.started_at), isoformat(self.ended_at)
        body["format"] = OUTCOME_FORMAT
        return json.dumps(body, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Outcome":
        """Read what `to_json` wrote; unknown fields of a newer minor release are ignored."""
        body = json.loads(text)
        if body.get("format", OUTCOME_FORMAT) > OUTCOME_FORMAT:
            raise BadInput("the outcome was written by a newer release of orch; upgrade this process")
        values = {f.name: body[f.name] for f in fields(cls) if f.name in body}
        for name in ("started_at", "ended_at"):
            values[name] = datetime.fromisoformat(values[name])
        values["xcoms"] = tuple((key, value) for key, value in values.get("xcoms", ()))
        return cls(**values)
