"""The channel: how a task process asks its supervisor for what only the supervisor can read."""

from typing import Any, Protocol


class Channel(Protocol):
    """A conversation of one question and one answer at a time, both plain JSON objects."""

    def request(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to `message`; raise ConnectionError when the supervisor is gone.

        `{"op": "xcom_get", "task_id", "key", "map_index"}` is answered by `{"value": JSON text or null}`:
        the value that task handed over in the same run.
        """
        ...
