"""Values of settings: from the text of a variable, or the value in orch.toml, to the declared type."""

import math
import os.path
from pathlib import Path
from typing import Any

from orch.errors import ConfigurationError
from orch.settings.declare import Setting

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def from_text(setting: Setting, text: str, source: str, base: Path) -> Any:
    """Return the typed value of a text; relative paths count from `base`. An error names the source."""
    try:
        return _checked(setting, _parsed(setting.type, encodable(text.strip()), base))
    except ValueError as error:
        raise _refusal(setting, text, source, error) from None


def from_toml(setting: Setting, raw: object, source: str, base: Path) -> Any:
    """Return the typed value of what stands in orch.toml; relative paths count from `base`."""
    try:
        return _checked(setting, _typed(setting.type, raw, base))
    except ValueError as error:
        raise _refusal(setting, raw, source, error) from None


def absolute(path: str | Path, base: Path) -> Path:
    """Return the absolute path. Symbolic links stay: a deployment may point one elsewhere while we run."""
    return Path(os.path.normpath(base / Path(path).expanduser()))


def encodable(text: str) -> str:
    """Return the text; raise ValueError when it comes from bytes that are no UTF-8, as nothing could store it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it is not valid UTF-8; choose another one") from None
    return text


def _refusal(setting: Setting, raw: object, source: str, error: ValueError) -> ConfigurationError:
    problem = str(error) or f"it must be a {setting.type_text}"
    return ConfigurationError(f"setting {setting.name} = {raw!r} ({source}): {problem}")


def _parsed(kind: Any, text: str, base: Path) -> Any:
    if kind is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise ValueError("it must be true or false")
        return text.lower() in _TRUE
    if kind is int or kind is float:
        try:
            return kind(text)
        except ValueError:
            raise ValueError from None  # the words of int() and float() say less than ours
    if kind == tuple[str, ...]:
        return tuple(item.strip() for item in text.split(",") if item.strip())
    return _typed(kind, text, base)


def _typed(kind: Any, raw: object, base: Path) -> Any:
    if kind == tuple[str, ...]:
        if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
            raise ValueError('it must be a list of names, as in ["a", "b"]')
        return tuple(raw)
    if kind is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if kind is Path or kind == Path | None:
        return _path(kind, raw, base)
    if not isinstance(raw, kind) or (kind is not bool and isinstance(raw, bool)):
        raise ValueError
    return raw


def _path(kind: Any, raw: object, base: Path) -> Path | None:
    if not isinstance(raw, str):
        raise ValueError
    if not raw:
        if kind is Path:
            raise ValueError("it must not be empty")
        return None
    return absolute(raw, base)


def _checked(setting: Setting, value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it must be finite")
    if setting.choices and value not in setting.choices:
        raise ValueError(f"it must be {' or '.join(setting.choices)}")
    if setting.at_least is not None and value < setting.at_least:
        raise ValueError(f"it must be at least {setting.at_least:g}")
    if setting.at_most is not None and value > setting.at_most:
        raise ValueError(f"it must be at most {setting.at_most:_}")
    return value
