"""The pool of hosts: one for each state of a DAG file in use, the ones used last kept warm."""

from collections.abc import Mapping

from orch.worker.host_process import HostKey, HostProcess, stat_of
from orch.worker.reactor import Reactor

WARM = 8
"""Idle hosts beyond this number are ended, the one used longest ago first."""
IDLE_SECONDS = 300.0
"""An idle host is ended after this time."""


class HostPool:
    """All hosts of a worker."""

    def __init__(
        self, reactor: Reactor, environ: Mapping[str, str], *, import_timeout_seconds: float
    ) -> None:
        self._reactor = reactor
        self._environ = environ
        self._import_timeout_seconds = import_timeout_seconds
        self._serving: dict[HostKey, HostProcess] = {}
        self._retired: list[HostProcess] = []
        """They get no new attempts, and are dismissed when the last of theirs has ended."""
        self._ending: list[HostProcess] = []
        self.lost = False
        """True once a host has died unasked; whoever cleans up after it sets it back."""

    def host_for(self, key: HostKey) -> HostProcess:
        """Return the host for a state of a DAG file, a new one when the file has changed; OSError without room."""
        host = self._serving.get(key)
        if host is not None and stat_of(key.dag_file) in (host.stat, None):
            return host
        if host is not None:
            self._retired.append(self._serving.pop(key))
        self._shrink(WARM - 1)
        host = HostProcess(
            key,
            self._environ,
            self._reactor,
            import_timeout_seconds=self._import_timeout_seconds,
            on_gone=self._gone,
        )
        self._serving[key] = host
        return host

    def check(self, now: float) -> None:
        """End imports that take too long, retired hosts that have become idle, and those idle for long."""
        for host in list(self._serving.values()):
            host.check(now)
            if host.is_idle and now - host.used_at > IDLE_SECONDS:
                self._dismiss(self._serving.pop(host.key))
        for host in [host for host in self._retired if host.is_idle]:
            self._retired.remove(host)
            self._dismiss(host)
        self._ending = [host for host in self._ending if not host.has_ended()]

    def next_check(self) -> float | None:
        """Return when the next import has taken too long; None when nothing is being imported."""
        return min((host.import_until for host in self._all() if host.import_until), default=None)

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
