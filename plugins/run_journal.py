"""A drop-in plugin: append one JSON line for each finished run to a file.

    ORCH_PLUGINS=plugins uv run orch up

The file is `run-journal.jsonl` in the home of orch, or what the environment variable RUN_JOURNAL names.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from orch.hookspecs import DagRunChange, hookimpl

FINISHED = {"success", "failed", "cancelled"}


@hookimpl
def on_runs_changed(changes: Sequence[DagRunChange]) -> None:
    """Write the finished runs of the batch; called after commit, so each line is true."""
    lines = [
        json.dumps({"dag_id": c.dag_id, "run_id": c.run_id, "state": str(c.new), "at": c.at.isoformat()})
        for c in changes
        if c.new in FINISHED
    ]
    if not lines:
        return
    path = Path(
        os.environ.get("RUN_JOURNAL") or Path(os.environ.get("ORCH_HOME", ".orch"), "run-journal.jsonl")
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as journal:
        journal.write("".join(f"{line}\n" for line in lines))  # one write: lines of two processes do not mix
