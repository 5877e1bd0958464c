"""Reactor: waits for many descriptors at once and calls whoever watches the ready ones."""

import selectors
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Callback = Callable[[], object]


class HasFileno(Protocol):
    """A socket, a pipe's end, a process descriptor: what a selector can wait for."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...


Source = HasFileno | int


@dataclass(slots=True, eq=False)
class _Watch:
    on_readable: Callback
    on_writable: Callback | None


class Reactor:
    """One selector of a single-threaded loop."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._watches: dict[int, _Watch] = {}

    def watch(self, source: Source, on_readable: Callback, on_writable: Callback | None = None) -> None:
        """Call back whenever the source is readable, and whenever it is writable once `want_write` asks so."""
        watch = _Watch(on_readable, on_writable)
        self._watches[self._selector.register(source, selectors.EVENT_READ, watch).fd] = watch

    def want_write(self, source: Source, wanted: bool) -> None:
        """Say whether to call back when the source is writable."""
        key = self._selector.get_key(source)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
        if key.events != events:
            self._selector.modify(source, events, key.data)

    def forget(self, source: Source) -> None:
        """Stop watching; call it before the descriptor is closed."""
        self._watches.pop(self._selector.unregister(source).fd, None)

    def run_once(self, timeout: float) -> None:
        """Wait at most `timeout` seconds, and call back for everything that is ready."""
        for key, events in self._selector.select(timeout):
            watch: _Watch = key.data
            for event, callback in (
                (selectors.EVENT_WRITE, watch.on_writable),
                (selectors.EVENT_READ, watch.on_readable),
            ):
                # A callback of this batch may have closed the descriptor, and its number may be another's by now.
                if events & event and callback and self._watches.get(key.fd) is watch:
                    callback()

    def close(self) -> None:
        """Close the selector."""
        self._selector.close()
        self._watches.clear()
