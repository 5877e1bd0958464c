"""Spans of time in words: `every 90 minutes`, `every 1 minute 30 seconds`."""

from datetime import timedelta

_UNITS = (
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
)


def every(span: timedelta) -> str:
    """Return a rhythm in words: in the largest unit of which it is a multiple, else unit by unit."""
    for unit, length in _UNITS:
        if span % length == timedelta(0):
            number = span // length
            return f"every {unit}" if number == 1 else f"every {number} {unit}s"
    parts = []
    for unit, length in _UNITS:
        number, span = divmod(span, length)
        if number:
            parts.append(_counted(f"{number}", unit))
    if span:
        parts.append(_counted(f"{span.total_seconds():.6f}".rstrip("0").rstrip("."), "second"))
    return "every second" if parts == ["1 second"] else f"every {' '.join(parts)}"


def _counted(number: str, unit: str) -> str:
    return f"{number} {unit}" if number == "1" else f"{number} {unit}s"
