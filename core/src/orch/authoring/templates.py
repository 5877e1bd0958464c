"""Templates: texts with `{{ ... }}` or `{% ... %}`, which this release cannot render and so must not accept."""

import re
from collections.abc import Iterator

from orch.errors import NotBuiltYet

_TEMPLATE = re.compile(r"\{\{(?!-?\s*\.).*?\}\}|\{%.*?%\}", re.DOTALL)
"""`{{.Names}}` is none: no expression of a template begins with a dot, but every one for Go's formats does."""

MAX_SHOWN = 60


def refuse_templates(thing: object, field: str, value: object) -> None:
    """Raise NotBuiltYet when a text in `value`, also one inside lists, tuples, sets and dicts, is a template."""
    for text in _texts(value):
        if found := _TEMPLATE.search(text):
            shown = found[0] if len(found[0]) <= MAX_SHOWN else f"{found[0][: MAX_SHOWN - 3]}..."
            raise NotBuiltYet(
                f"{thing}: {field} contains the template {shown!r}; templates come in a later release of orch: "
                "use the ORCH_* environment variables in a bash command, get_current_context() in Python"
            )


def _texts(value: object) -> Iterator[str]:
    stack = [value]
    seen: set[int] = set()
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list | tuple | set | frozenset | dict) and id(item) not in seen:
            seen.add(id(item))
            stack.extend(reversed([*item.keys(), *item.values()] if isinstance(item, dict) else list(item)))
