"""The outcome: how one attempt ended, as the task process reports it."""

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from orch.clock import isoformat
from orch.errors import BadInput
from orch.runner.xcom import MAX_KEY

OUTCOME_FORMAT = 1
"""Version of the JSON layout; a reader refuses a newer one."""

Kind = Literal["success", "failed", "skipped"]

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Stamps outside of these were made by a broken clock; not everything that reads them later could hold them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one attempt; whether a failure is tried again is decided by whoever gets the report."""

    kind: Kind
    started_at: datetime
    """Aware UTC, stamped in the task process right before user code, as `ended_at` is right after it."""
    ended_at: datetime
    error: str | None = None
    """One line for people: why it failed or was skipped."""
    traceback: str | None = None
    retryable: bool = True
    """False when another try cannot end differently, so that none is made."""
    reason: str | None = None
    """Code of the cause, such as 'execution_timeout'."""
    xcoms: tuple[tuple[str, str], ...] = ()
    """(key, JSON text) of each value for other tasks, each key once; stored together with the outcome."""

    def to_json(self) -> str:
        """Return the outcome as one line of JSON."""
        body = {name: getattr(self, name) for name in _NAMES}
        body["started_at"], body["ended_at"] = isoformat(self.started_at), isoformat(self.ended_at)
        body["format"] = OUTCOME_FORMAT
        return _encode(body)

    @classmethod
    def from_json(cls, text: str) -> "Outcome":
        """Read what `to_json` wrote; unknown fields of a newer minor release are ignored.

        Raises BadInput for everything else: user code can write to the channel too, and whatever passes here is
        stored. Every text of the result is encodable and every moment is in UTC.
        """
        body = _object(text)
        version = body.get("format", OUTCOME_FORMAT)
        if not _is_int(version):
            raise BadInput(f"not an outcome: format is {_shown(version)}")
        if version > OUTCOME_FORMAT:
            raise BadInput("the outcome was written by a newer release of orch; upgrade this process")
        return cls(
            kind=_kind(body.get("kind")),
            started_at=_moment(body, "started_at"),
            ended_at=_moment(body, "ended_at"),
            error=_text_or_none(body, "error"),
            traceback=_text_or_none(body, "traceback"),
            retryable=_flag(body, "retryable"),
            reason=_text_or_none(body, "reason"),
            xcoms=_xcoms(body.get("xcoms", [])),
        )


_NAMES = tuple(field.name for field in fields(Outcome))
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _object(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not an outcome: {error}") from None
    if not isinstance(body, dict):
        raise BadInput(f"not an outcome: {_shown(body)} is no JSON object")
    return body


def _kind(value: Any) -> Kind:
    for kind in get_args(Kind):
        if value == kind:
            return kind  # type: ignore[no-any-return]  # get_args does not say that these are the literals
    raise BadInput(f"not an outcome: kind is {_shown(value)}")


def _moment(body: dict[str, Any], name: str) -> datetime:
    value = body.get(name)
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type]  # its TypeError is caught
        if moment.tzinfo is not None and EARLIEST <= (in_utc := moment.astimezone(UTC)) < LATEST:
            return in_utc
    except (TypeError, ValueError, OverflowError):
        pass
    years = f"{EARLIEST.year} to {LATEST.year}"
    raise BadInput(f"not an outcome: {name} is {_shown(value)}, no moment with offset in the years {years}")


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name, True)
    if not isinstance(value, bool):
        raise BadInput(f"not an outcome: {name} is {_shown(value)}")
    return value


def _text_or_none(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not is_storable(value):
        raise BadInput(f"not an outcome: {name} is {_shown(value)}")
    return value


def _xcoms(pairs: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise BadInput("not an outcome: xcoms is no list of pairs")
    for key, value in pairs:
        if not is_storable(key) or not 0 < len(key) <= MAX_KEY:
            raise BadInput(f"not an outcome: {_shown(key)} is no key of an XCom")
        if not is_storable(value):
            raise BadInput(f"not an outcome: the XCom {_shown(key)} is {_shown(value)}, no JSON text")
    xcoms = dict(pairs)
    if len(xcoms) < len(pairs):
        raise BadInput("not an outcome: two XComs have the same key")
    return tuple(xcoms.items())


def is_storable(value: object) -> bool:
    """Tell whether the value is a text without lone surrogates, which no database takes."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
