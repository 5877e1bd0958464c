"""XComs: the values that tasks hand to each other, as strict JSON."""

import json
import math
from typing import Any

from orch.errors import XComError

MAX_DEPTH = 100
"""Levels of nesting; deeper JSON cannot be read everywhere."""
MAX_KEY = 250
MEASURED = 16
"""A value of up to so many times the allowed size is measured exactly, for the message that refuses it."""

_REMEDIES = (
    (("datetime", "date", "time"), "hand over its .isoformat()"),
    (("timedelta",), "hand over its .total_seconds()"),
    (("Decimal", "UUID", "PosixPath", "PurePosixPath"), "hand over str(...) of it"),
    (("bytes", "bytearray", "memoryview"), "decode it, or write it to a file and hand over the path"),
    (("set", "frozenset", "dict_keys", "dict_values", "generator", "range"), "hand over sorted(...) of it"),
    (("DataFrame", "Series", "ndarray", "Table"), "write it to a file and hand over the path"),
    (("coroutine",), "await it inside the task"),
)  # fmt: skip


def encode(value: Any, *, task_id: str, key: str, max_bytes: int) -> str:
    """Return the value as JSON text of at most `max_bytes` bytes of UTF-8.

    Allowed are None, bool, int, finite float, str, and lists, tuples (they arrive as lists) and dicts with str
    keys of those. Anything else raises XComError, which names the task, the key and the place in the value.
    """
    name = f"XCom {key!r} of task {task_id!r}"
    _Inspection(name, max_bytes).look(value, "", 0)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
    size = len(text.encode())
    if size > max_bytes:
        raise _too_large(name, f"{size:,}", max_bytes)
    return text


def decode(text: str) -> Any:
    """Return the value of a JSON text that `encode` made."""
    return json.loads(text)


def check_key(task_id: str, key: object) -> str:
    """Return `key` when it may name an XCom."""
    if not isinstance(key, str) or not key or len(key) > MAX_KEY or not key.isprintable():
        raise XComError(
            f"task {task_id!r}: an XCom key is a text of 1 to {MAX_KEY} printable characters, not {key!r}"
        )
    return key


class _Inspection:
    """One walk over a value that finds the first thing JSON, or a database, cannot hold."""

    def __init__(self, name: str, max_bytes: int) -> None:
        self.name = name
        self.max_bytes = max_bytes
        self.least_bytes = 0
        self.open: set[int] = set()  # the containers around the present item

    def look(self, item: Any, place: str, depth: int) -> None:
        self.least_bytes += 1
        if item is None or isinstance(item, bool):
            return
        if isinstance(item, str):
            self.look_at_text(item, place)
        elif isinstance(item, float):
            if not math.isfinite(item):
                self.refuse(
                    f"{float(item)!r}{_at(place)}, which JSON has no word for; hand over None instead"
                )
        elif isinstance(item, int):
            self.look_at_int(item, place)
        elif isinstance(item, dict | list | tuple) and not hasattr(item, "_fields"):
            self.look_into(item, place, depth)
        else:
            self.refuse_type(item, place)
        most = MEASURED * self.max_bytes
        if self.least_bytes > most:  # without building the text of a huge value first
            raise _too_large(self.name, f"more than {most:,}", self.max_bytes)

    def look_into(self, item: Any, place: str, depth: int) -> None:
        if id(item) in self.open:
            self.refuse(
                f"a {type(item).__name__} that contains itself{_at(place)}; hand over a copy without the loop"
            )
        if depth == MAX_DEPTH:
            self.refuse(
                f"more than {MAX_DEPTH} levels of nesting{_at(place[:60])}; hand over a flatter value"
            )
        self.open.add(id(item))
        if isinstance(item, dict):
            for key, member in item.items():
                if not isinstance(key, str):
                    self.refuse(f"the key {key!r} of type {type(key).__name__}{_at(place)}; use str keys")
                self.look_at_text(key, place)
                self.look(member, f"{place}[{key!r}]", depth + 1)
        else:
            for index, member in enumerate(item):
                self.look(member, f"{place}[{index}]", depth + 1)
        self.open.discard(id(item))

    def look_at_text(self, item: str, place: str) -> None:
        self.least_bytes += len(item)
        try:
            item.encode()
        except UnicodeEncodeError as error:
            surrogate = f"\\u{ord(item[error.start]):04x}"
            self.refuse(
                f"a text with a lone surrogate ({surrogate}){_at(place)}, which is no character; "
                "decode the text with errors='replace'"
            )
        if "\0" in item:
            self.refuse(f"a text with a NUL character{_at(place)}, which not every database holds; remove it")

    def look_at_int(self, item: int, place: str) -> None:
        try:
            self.least_bytes += len(str(int(item))) - 1
        except ValueError:  # Python refuses to print integers of thousands of digits
            self.refuse(f"an integer with too many digits{_at(place)}; hand over a text")

    def refuse_type(self, item: Any, place: str) -> None:
        kind = type(item)
        bases = {base.__name__ for base in kind.__mro__}
        remedy = next((text for names, text in _REMEDIES if bases.intersection(names)), None)
        if hasattr(item, "_asdict"):
            remedy = "hand over its ._asdict()"
        elif hasattr(item, "__dataclass_fields__"):
            remedy = "hand over dataclasses.asdict(...) of it"
        remedy = remedy or "return a path or an id instead"
        name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        self.refuse(f"a value of type {name}{_at(place)}; {remedy}")

    def refuse(self, what: str) -> None:
        raise XComError(f"{self.name} holds {what}")


def _at(place: str) -> str:
    return f" at {place}" if place else ""


def _too_large(name: str, size: str, max_bytes: int) -> XComError:
    return XComError(
        f"{name} has {size} bytes as JSON; {max_bytes:,} are allowed (worker.xcom_max_bytes): "
        "write it to a file or table and return its path or id instead"
    )
