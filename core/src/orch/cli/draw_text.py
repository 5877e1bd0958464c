"""Text of a drawing: spans that know which state they speak of, cut and padded in terminal cells."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

Style = Callable[[str, str], str]
"""`style(state, text) -> text`, with colour codes or without; never asked about anything but states."""

JOINTS = " ╵╷│╴╯╮┤╶╰╭├─┴┬┼"
"""Line pieces by the sides they touch: index up + 2 * down + 4 * left + 8 * right."""

ELLIPSIS = "…"
ASCII = str.maketrans("│─├┤┼┬┴╰╯╭╮▶…", "|-++++'''..>~")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text; with a state it may be coloured, without one it never is."""

    text: str
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """What is drawn for one task, or for a fold of many: a mark, a name, and words on the state."""

    mark: Span
    name: str
    words: tuple[Span, ...] = ()


def joint(up: bool, down: bool, left: bool, right: bool) -> str:
    """Return the line piece that touches the given sides."""
    return JOINTS[up + 2 * down + 4 * left + 8 * right]


def cells(spans: Iterable[Span]) -> int:
    """Return how many terminal cells the spans take."""
    return sum(cell_len(span.text) for span in spans)


def fit(spans: Iterable[Span], width: int) -> list[Span]:
    """Return the spans cut to `width` cells, an ellipsis standing for what is lost, or padded to it."""
    spans = list(spans)
    room = width - cells(spans)
    if room >= 0:
        return [*spans, Span(" " * room)]
    kept: list[Span] = []
    left = width - cell_len(ELLIPSIS)
    for span in spans:
        kept.append(Span(set_cell_size(span.text, min(left, cell_len(span.text))), span.state))
        left -= cells(kept[-1:])
    return [*kept, Span(ELLIPSIS)] if width > 0 else []


def render(spans: Iterable[Span], style: Style | None) -> str:
    """Join the spans into a line without trailing blanks, colouring those that speak of a state."""
    if style is None:
        return "".join(span.text for span in spans).rstrip()
    return "".join(
        span.text if span.state is None else style(span.state, span.text) for span in spans
    ).rstrip()


def printable(text: str) -> str:
    """Return the text with everything that could move the cursor or change colours replaced by `?`."""
    return "".join(character if character.isprintable() else "?" for character in text)
