"""Capped output: the beginning and the end of what an import prints, however much that is."""


class CappedOutput:
    """Keeps at most `limit` bytes: the first half as it came, and the newest of the rest."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, piece: bytes) -> None:
        """Take what was printed next."""
        room = self._half - len(self._head)
        self._head += piece[:room]
        self._tail += piece[room:]
        surplus = len(self._tail) - self._half
        if surplus > 0:
            del self._tail[:surplus]
            self._dropped += surplus

    def text(self) -> str:
        """Return it as text; bytes that are not UTF-8 show as escapes, a gap is marked."""
        gap = f"\n... {self._dropped} bytes left out ...\n".encode() if self._dropped else b""
        return bytes(self._head + gap + self._tail).decode("utf-8", "backslashreplace")
