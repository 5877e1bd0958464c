"""Conf: the JSON object that a run hands to its tasks, and what it must be so that every process can read it."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orch.errors import BadInput

MAX_CONF_DEPTH = 100
"""Levels of lists and objects, the outermost counted; readers of JSON give up somewhere near a thousand."""

MAX_CONF_BYTES = 1_048_576
"""Of its JSON in UTF-8; every claim of a task carries the whole conf."""

_LONGEST_PLACE = 120
_REMEDY = "put large data into a file and name the file in the conf"


def check_conf(conf: object) -> None:
    """Raise BadInput, naming the place (`conf.a.b[3]`), unless every process can read `conf` back as it is."""
    if not isinstance(conf, Mapping):
        raise BadInput(f'conf is a {type(conf).__name__}; give a JSON object such as {{"key": 1}}')
    # A stack of its own: recursion would end where nesting is the trouble.
    waiting = [_Place(conf)]
    seen = 0
    while waiting:
        place = waiting.pop()
        seen += 1
        if seen > MAX_CONF_BYTES:  # each value takes a byte at least; lists that share parts may never end
            raise BadInput(f"conf has more than {MAX_CONF_BYTES} values; {_REMEDY}")
        if isinstance(place.value, Mapping | list | tuple):
            if place.depth > MAX_CONF_DEPTH:
                raise BadInput(
                    f"{place} is nested deeper than {MAX_CONF_DEPTH} levels; make the conf flatter"
                )
            waiting += place.children()
        else:
            _check_leaf(place)
    _check_size(conf)


def check_text(place: object, text: str) -> None:
    """Raise BadInput unless the text can be stored: no NUL character and no half of a surrogate pair."""
    if "\0" in text:
        raise BadInput(f"{place} has a NUL character (\\u0000); leave it out")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        wrong = ascii(text[error.start])
        raise BadInput(f"{place} has {wrong}, which is no character; write valid UTF-8") from None


@dataclass(frozen=True, slots=True)
class _Place:
    """One value of a conf. Its name is put together only when it is printed: keys may be long, and values many."""

    value: Any
    step: str | int | None = None
    parent: "_Place | None" = None
    depth: int = 1

    def children(self) -> Iterator["_Place"]:
        """Return what is directly inside; raise BadInput for a key that no JSON has."""
        if not isinstance(self.value, Mapping):
            yield from (_Place(item, index, self, self.depth + 1) for index, item in enumerate(self.value))
            return
        for key, item in self.value.items():
            if not isinstance(key, str):
                raise BadInput(f"a key of {self} is {key!r}, which is no text; write {str(key)!r}")
            check_text(f"key {_shortened(ascii(key))} of {self}", key)
            yield _Place(item, key, self, self.depth + 1)

    def __str__(self) -> str:
        steps: list[str] = []
        place = self
        while place.parent is not None:
            steps.append(_step_text(place.step))
            place = place.parent
        return _shortened(f"conf{''.join(reversed(steps))}")


def _step_text(step: str | int | None) -> str:
    is_plain = isinstance(step, str) and step.isidentifier()
    return f".{step}" if is_plain else f"[{step!r}]"


def _check_leaf(place: _Place) -> None:
    value = place.value
    if isinstance(value, str):
        check_text(place, value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise BadInput(f"{place} is {value}, which JSON does not have; use null or a text")
    elif value is not None and not isinstance(value, int):
        kind = type(value).__name__
        raise BadInput(f"{place} is a {kind}, which JSON does not have; use text, numbers, lists and objects")


def _check_size(conf: Mapping[str, Any]) -> None:
    try:
        size = len(json.dumps(dict(conf), ensure_ascii=False).encode())
    except (TypeError, ValueError) as error:  # an integer of thousands of digits, a mapping that is no dict
        raise BadInput(f"conf is not plain JSON: {error}; use text, numbers, lists and dicts") from None
    if size > MAX_CONF_BYTES:
        raise BadInput(f"conf has {size} bytes of JSON, {MAX_CONF_BYTES} are allowed; {_REMEDY}")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_PLACE else f"{text[:_LONGEST_PLACE]}..."
