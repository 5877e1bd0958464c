"""News of components: a pipe from the supervising process to the one that shows things to a person."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Self

from orch.processes import ComponentEvent

EVERYTHING = "everything"
"""The name under which the request to stop is told."""
LONGEST = 4096
"""A pipe takes this much at once or not at all, so that lines never mix."""


@dataclass(frozen=True, slots=True)
class ComponentState:
    """One component as its supervisor sees it."""

    name: str
    kind: str = "waiting"
    """'waiting', or the kind of the last event: 'started', 'restarting', 'ended'; 'stopping' of EVERYTHING."""
    pid: int = 0
    exit: str = ""
    starts: int = 0


class News:
    """The states of all components. The supervisor tells, the view listens; each line carries all states."""

    def __init__(self, hidden: tuple[str, ...] = ()) -> None:
        self._told: dict[str, ComponentState] = {}
        self._heard: dict[str, ComponentState] = {}
        self._hidden = hidden
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        """Return the descriptor that is readable when there is news."""
        return self._reader

    def tell(self, event: ComponentEvent) -> None:
        """Note an event and pass it on; news that nobody reads in time is dropped, the next one brings it."""
        if event.name not in self._hidden:
            known = self._told.get(event.name) or ComponentState(event.name)
            self._told[event.name] = replace(
                known,
                kind=event.kind,
                pid=event.pid,
                exit=event.exit,
                starts=known.starts + (event.kind == "started"),
            )
        self._pass_on()

    def tell_stopping(self) -> None:
        """Note that a stop was requested and pass it on; heard once, however often it was requested."""
        self._told[EVERYTHING] = ComponentState(EVERYTHING, "stopping")
        self._pass_on()

    def listen(self) -> Iterator[ComponentState]:
        """Take in what was told; yield each component whose state is new, in the order it happened."""
        for line in self._lines():
            for raw in json.loads(line):
                state = ComponentState(**raw)
                if self._heard.get(state.name) != state:
                    self._heard[state.name] = state
                    yield state

    def _pass_on(self) -> None:
        line = json.dumps([asdict(state) for state in self._told.values()]).encode() + b"\n"
        try:
            os.write(self._writer, line[:LONGEST])
        except BlockingIOError:
            return

    def _lines(self) -> list[bytes]:
        data = self._rest
        try:
            while piece := os.read(self._reader, 65536):
                data += piece
        except BlockingIOError:
            pass
        *lines, self._rest = data.split(b"\n")
        return lines


def stopping_text(drain_seconds: float) -> str:
    """Return what a person reads when a stop was requested."""
    return f"stopping; running tasks get at most {drain_seconds:g} s to end (again: at once)"
