"""The pool of hosts: one for each state of a DAG file in use, the ones used last kept warm."""

from collections.abc import Mapping

from orch.worker.bundles import Bundles
from orch.worker.crew import Turnover
from orch.worker.host_process import HostKey, HostProcess, stat_of
from orch.worker.reactor import Reactor
from orch.worker.seats import SHORT_SECONDS, Seats

WARM = 8
"""Idle hosts beyond this number are ended, the one used longest ago first."""
IDLE_SECONDS = 300.0
"""An idle host is ended after this time."""


class HostPool:
    """All hosts of a worker."""

    def __init__(
        self,
        reactor: Reactor,
        environ: Mapping[str, str],
        bundles: Bundles,
        seats: Seats,
        turnover: Turnover,
        *,
        import_timeout_seconds: float,
    ) -> None:
        self._reactor = reactor
        self._environ = environ
        self._bundles = bundles
        self._seats = seats
        self._turnover = turnover
        self._import_timeout_seconds = import_timeout_seconds
        self._serving: dict[HostKey, HostProcess] = {}
        self._retired: list[HostProcess] = []
        """They get no new attempts, and are dismissed when the last of theirs has ended."""
        self._ending: list[HostProcess] = []
        self.lost = False
        """True once a host has died unasked; whoever cleans up after it sets it back."""

    def host_for(self, key: HostKey) -> HostProcess:
        """Return the host for a state of a DAG file, a new one when the file has changed.

        A new one of a stored state imports from its layout, which is whole then. Raises OSError without room, and
        what laying it out raises.
        """
        host = self._serving.get(key)
        found = stat_of(key.loaded_file)
        if host is not None and (found == host.stat or (found is None and key.layout is None)):
            return host
        if host is not None:
            self._retired.append(self._serving.pop(key))
        if key.layout is not None:
            self._bundles.lay_out(key.layout.name)
        self._shrink(WARM - 1)
        host = HostProcess(
            key,
            self._environ,
            self._reactor,
            self._seats,
            self._turnover,
            import_timeout_seconds=self._import_timeout_seconds,
            on_gone=self._gone,
        )
        self._serving[key] = host
        return host

    def check(self, now: float) -> None:
        """End imports that take too long, retired hosts that have become idle, and those idle for long."""
        for host in self._all():
            host.check(now)
        for host in list(self._serving.values()):
            if host.is_idle and now - host.used_at > IDLE_SECONDS:
                self._dismiss(self._serving.pop(host.key))
        for host in [host for host in self._retired if host.is_idle]:
            self._retired.remove(host)
            self._dismiss(host)
        self._ending = [host for host in self._ending if not host.has_ended()]

    def next_check(self) -> float | None:
        """Return when `check` has something to do at a given time; None when no host has."""
        imports = [host.import_until for host in self._all() if host.import_until]
        return min([*imports, *filter(None, (host.crew.next_check() for host in self._all()))], default=None)

    def hand_out(self) -> None:
        """Give what waits to task processes that have become free."""
        for host in self._all():
            if host.crew.has_waiting:
                host.crew.hand_out()

    def long_running(self, now: float) -> int:
        """Return how many task processes have been at one attempt for longer than a short task takes."""
        return sum(span > SHORT_SECONDS for host in self._all() for span in host.crew.busy_for(now))

    def pids(self) -> set[int]:
        """Return the process ids of all hosts."""
        return {host.pid for host in [*self._all(), *self._ending]}

    def close(self, *, destroy: bool = False) -> None:
        """End all hosts and wait for their ends; with `destroy` by SIGKILL."""
        for host in self._all():
            if destroy:
                host.destroy()
            else:
                self._dismiss(host)
        for host in self._ending:
            host.wait(1.0)
        self._serving.clear()
        self._retired.clear()
        self._ending.clear()

    def _all(self) -> list[HostProcess]:
        return [*self._serving.values(), *self._retired]

    def _shrink(self, size: int) -> None:
        idle = sorted((h for h in self._serving.values() if h.is_idle), key=lambda h: h.used_at)
        for host in idle[: max(0, len(self._serving) - size)]:
            self._dismiss(self._serving.pop(host.key))

    def _dismiss(self, host: HostProcess) -> None:
        host.dismiss()
        self._ending.append(host)

    def _gone(self, host: HostProcess) -> None:
        self.lost = True
        if self._serving.get(host.key) is host:
            del self._serving[host.key]
        elif host in self._retired:
            self._retired.remove(host)
