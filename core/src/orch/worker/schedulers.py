"""The schedulers as a worker knows them: addresses to wake after a report."""

from orch.hints import send_hint
from orch.worker.ledger import Ledger


class Schedulers:
    """Remembers the addresses, and reads them again when one does not answer or none is known."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._addresses: list[str] = []

    def wake(self) -> None:
        """Hint all schedulers that there is something to decide."""
        if not self._addresses:
            self._addresses = self._ledger.addresses()
        answers = [send_hint(address) for address in self._addresses]
        if not all(answers):
            self._addresses = []
