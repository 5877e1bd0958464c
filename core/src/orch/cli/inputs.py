"""What people type: JSON objects and moments, refused with a sentence when they are neither."""

import contextlib
import json
from datetime import UTC, date, datetime
from typing import Any, cast

import click

from orch.errors import BadInput
from orch.operations.conf import check_conf
from orch.operations.logical_date import check_logical_date

LOGICAL_DATE_HELP = "The date that the run stands for; without an offset it is read in the zone of the DAG."


def json_object(ctx: click.Context, param: click.Parameter, value: str) -> dict[str, Any]:
    """Return the JSON object that an option holds; a callback for click."""
    try:
        parsed = json.loads(value, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        text = f"{_shortened(value)} is not JSON ({error}); write it like '{{\"key\": 1}}'"
        raise click.BadParameter(text, ctx, param) from None
    if not isinstance(parsed, dict):
        text = f"{_shortened(value)} is JSON but not an object; write it like '{{\"key\": 1}}'"
        raise click.BadParameter(text, ctx, param)
    try:
        check_conf(parsed)
    except BadInput as error:
        raise click.BadParameter(str(error), ctx, param) from None
    return parsed


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Return the moment, aware or not, that an option holds; a callback for click."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        text = f"{_shortened(value)} is not a moment; write 2026-01-31 or 2026-01-31T06:00+01:00"
        raise click.BadParameter(text, ctx, param) from None
    try:
        check_logical_date(found if found.tzinfo else found.replace(tzinfo=UTC))
    except BadInput as error:
        raise click.BadParameter(str(error), ctx, param) from None
    return found


def day_or_moment(ctx: click.Context, param: click.Parameter, value: str) -> date | datetime:
    """Return the day, or the moment, aware or not, that an option holds; a callback for click."""
    with contextlib.suppress(ValueError):
        return date.fromisoformat(value)
    return cast("datetime", moment(ctx, param, value))  # an option with a value has one


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "...")
