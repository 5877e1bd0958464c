"""One declaration of a setting: its name, type, default and sentence; everything else is derived from it."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any


def says(
    sentence: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    alias: str | None = None,
    default: Callable[[Path], Any] | None = None,
    default_text: str | None = None,
    in_file: bool = True,
    choices: tuple[str, ...] = (),
) -> Mapping[str, Any]:
    """Return the metadata of a section's field that declares it as a setting.

    `alias` is a second environment variable. `default` computes the default from the home folder, for a field
    that has none; `default_text` then says so in words. With `in_file=False` only the alias can set it. A text
    with `choices` must be one of them.
    """
    return {
        "sentence": sentence,
        "at_least": at_least,
        "at_most": at_most,
        "alias": alias,
        "default": default,
        "default_text": default_text,
        "in_file": in_file,
        "choices": choices,
    }


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: the key `name` in orch.toml (`[section]`, then `key`) and an environment variable."""

    name: str
    type: Any
    default: Callable[[Path], Any]
    """Computes the default from the home folder."""
    default_text: str
    sentence: str
    at_least: float | None = None
    at_most: float | None = None
    alias: str | None = None
    in_file: bool = True
    choices: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        """The table of orch.toml it stands in."""
        return self.name.partition(".")[0]

    @property
    def key(self) -> str:
        """Its name within the section."""
        return self.name.partition(".")[2]

    @property
    def type_text(self) -> str:
        """Its type in the words of the documentation."""
        return " or ".join(f"`{choice}`" for choice in self.choices) or _TYPE_TEXTS[self.type]

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it, the short one first."""
        own = f"ORCH_{self.name.upper().replace('.', '_')}"
        if self.alias:
            return (self.alias, own) if self.in_file else (self.alias,)
        return (own,)


_TYPE_TEXTS: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    Path | None: "path or empty",
    tuple[str, ...]: "list of names",
}


def declared_in(section: str, cls: type[Any]) -> tuple[Setting, ...]:
    """Return the settings that the fields of a section's dataclass declare, in their order."""
    return tuple(_from_field(section, field) for field in fields(cls))


def _from_field(section: str, field: Field[Any]) -> Setting:
    facts = field.metadata
    default = facts["default"] or _constant(field)
    return Setting(
        name=f"{section}.{field.name}",
        type=field.type,
        default=default,
        default_text=facts["default_text"] or _words(default(Path())),
        sentence=facts["sentence"],
        at_least=facts["at_least"],
        at_most=facts["at_most"],
        alias=facts["alias"],
        in_file=facts["in_file"],
        choices=facts["choices"],
    )


def _constant(field: Field[Any]) -> Callable[[Path], Any]:
    if field.default_factory is not MISSING:
        factory = field.default_factory
        return lambda _: factory()
    value = field.default
    return lambda _: value


def _words(value: Any) -> str:
    if value is None or value == ():
        return "empty"
    return f"{value:_}" if isinstance(value, int) and value >= 10_000 else str(value)
