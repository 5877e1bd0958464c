"""What is drawn for a task: a symbol, a name and a state; very many tasks alike share one entry."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from orch.cli.draw_text import Node, Span, printable
from orch.domain.graph import Graph

SYMBOLS = {
    "failed": ("✗", "x"),
    "upstream_failed": ("⊘", "!"),
    "cancelled": ("■", "#"),
    "up_for_retry": ("↻", "r"),
    "up_for_reschedule": ("↺", "w"),
    "awaiting_input": ("◆", "?"),
    "deferred": ("◇", "d"),
    "running": ("●", "*"),
    "queued": ("◌", "."),
    "scheduled": ("◌", "."),
    "none": ("○", "o"),
    "skipped": ("↷", "/"),
    "removed": ("×", "-"),  # noqa: RUF001 -- the sign is meant, not the letter
    "success": ("✓", "v"),
}
"""State -> its symbol and the ASCII one; the states that may need a person come first."""

FOLD_FROM = 16


def nodes_of(
    graph: Graph, states: Mapping[str, str] | None, label: Callable[[str], str], unicode: bool
) -> dict[str, Node]:
    """Return what to draw by task id; a fold of tasks with equal neighbours stands at its first task."""
    nodes = {}
    for tasks in _folds(graph):
        names = [clean(label(task), unicode) for task in (tasks[0], tasks[-1])]
        mark, words = _state_of(tasks, states, unicode)
        if len(tasks) == 1:
            nodes[tasks[0]] = Node(mark, names[0], words)
        else:
            count = Span(f"{len(tasks)} tasks" + ": " * bool(words))
            nodes[tasks[0]] = Node(mark, f" {'…' if unicode else '..'} ".join(names), (count, *words))
    return nodes


def symbol(state: str, unicode: bool) -> str:
    """Return the one-cell symbol of a state word, known or not."""
    return SYMBOLS.get(state, ("·", "?"))[0 if unicode else 1]


def clean(text: str, unicode: bool) -> str:
    """Return the text as it can be shown: no control characters, and ASCII only unless `unicode`."""
    return printable(text if unicode else text.encode("ascii", "replace").decode())


def _folds(graph: Graph) -> list[list[str]]:
    alike: dict[tuple[frozenset[str], frozenset[str]], list[str]] = defaultdict(list)
    for task in graph:
        alike[frozenset(graph.upstream(task)), frozenset(graph.downstream(task))].append(task)
    folds: list[list[str]] = []
    for tasks in alike.values():
        folds += [tasks] if len(tasks) >= FOLD_FROM else [[task] for task in tasks]
    return folds


def _state_of(
    tasks: Sequence[str], states: Mapping[str, str] | None, unicode: bool
) -> tuple[Span, tuple[Span, ...]]:
    if states is None:
        return Span("●" if unicode else "*"), ()
    counts = Counter(states.get(task, "none") for task in tasks)
    first = min(counts, key=lambda state: [*SYMBOLS, state].index(state))
    mark = Span(symbol(first, unicode), first)
    if len(tasks) == 1:
        return mark, (Span(clean(first, unicode), first),)
    words = [Span(f"{count} {clean(state, unicode)}", state) for state, count in counts.most_common()]
    return mark, tuple(span for word in words for span in (Span(", "), word))[1:]
