"""One entry of the reset list: a piece of process state that is saved once and put back after each task."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any


class CannotReset(Exception):
    """Something cannot be put back; the process must not run another task."""


@dataclass(frozen=True, slots=True)
class Reset:
    """One entry; `name` is what the documentation calls it."""

    name: str
    save: Callable[[], Any]
    """Returns what `restore` needs; called once, before the first task."""
    restore: Callable[[Any], None]
    """Puts it back; whatever it raises ends the process."""


@dataclass(frozen=True, slots=True)
class Saved:
    """One entry with what it has saved."""

    entry: Reset
    value: Any

    def restore(self) -> None:
        """Put it back; CannotReset names the entry."""
        try:
            self.entry.restore(self.value)
        except Exception as error:
            raise CannotReset(f"{self.entry.name}: {type(error).__name__}: {error}") from error


def knobs(name: str, *pairs: tuple[Callable[[], Any], Callable[[Any], object]]) -> Reset:
    """Return an entry for values that one function reads and another one sets."""

    def save() -> list[Any]:
        return [read() for read, _ in pairs]

    def restore(saved: list[Any]) -> None:
        for (read, write), value in zip(pairs, saved, strict=True):
            if read() != value:
                write(value)

    return Reset(name, save, restore)


def attributes(name: str, *places: tuple[ModuleType, str]) -> Reset:
    """Return an entry for attributes of modules that hold one object each."""

    def save() -> list[Any]:
        return [getattr(module, attribute) for module, attribute in places]

    def restore(saved: list[Any]) -> None:
        for (module, attribute), value in zip(places, saved, strict=True):
            if getattr(module, attribute, None) is not value:
                setattr(module, attribute, value)

    return Reset(name, save, restore)


def lists(name: str, *places: tuple[ModuleType, str]) -> Reset:
    """Return an entry for attributes of modules that hold a list: the same list, with the same items."""

    def save() -> list[tuple[list[Any], list[Any]]]:
        return [(getattr(module, attribute), [*getattr(module, attribute)]) for module, attribute in places]

    def restore(saved: list[tuple[list[Any], list[Any]]]) -> None:
        for (module, attribute), (items, copy) in zip(places, saved, strict=True):
            if getattr(module, attribute, None) is not items:
                setattr(module, attribute, items)
            if items != copy:
                items[:] = copy

    return Reset(name, save, restore)
