"""`orch cron`: when a cron expression ticks, for a person, for a program, or for a program with many questions."""

import json
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from orch.cli.cron_question import MOST_TICKS, Question
from orch.cli.output import Output
from orch.cli.site import json_option
from orch.clock import system_clock
from orch.domain.cron import DstRule
from orch.domain.zones import zone_names
from orch.errors import BadInput, OrchError

EXAMPLE = "orch cron '0 6 * * *'"


class CronCommand(click.Command):
    """Takes `-5 * * * *` for the bad expression that it is, and not for a bad option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move what can only be an expression behind the options."""
        expressions = [arg for arg in args if re.match(r"-[^-n]", arg) and " " in arg]
        options = [arg for arg in args if arg not in expressions]
        return super().parse_args(ctx, [*options, *(["--", *expressions] if expressions else [])])


def _rules(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [rule.value for rule in DstRule if rule.value.startswith(incomplete)]


def _zones(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in zone_names() if name.startswith(incomplete)]


@click.command(cls=CronCommand)
@click.argument("words", metavar="[EXPR]", nargs=-1)
@click.option(
    "--after",
    metavar="ISO",
    help="Ticks after this, itself excluded; without offset, wall time in ZONE [now].",
)
@click.option("--tz", metavar="ZONE", shell_complete=_zones, help="Zone whose clock is read [UTC].")
@click.option("-n", type=int, metavar="N", help=f"How many ticks, at most {MOST_TICKS} [1].")
@click.option("--prev", is_flag=True, help="Ticks before, latest first.")
@click.option(
    "--dst", metavar="RULE", shell_complete=_rules, help="Clock changes: vixie, skip, once or twice [vixie]."
)
@click.option("--batch", is_flag=True, help="Answer one JSON object a line on stdin with one on stdout.")
@json_option
def cron(words: tuple[str, ...], *, prev: bool, batch: bool, as_json: bool, **options: Any) -> None:
    """Say when a cron expression ticks.

    EXPR has 5 fields (minute, hour, day of month, month, day of week), or 6 with the second first, or is a
    macro such as @daily. No home and no database is needed.

    With --batch, a line is {"expr": EXPR, "after": ISO, "tz": ZONE, "n": N, "prev": false, "dst": RULE}. What
    it leaves out is taken from the options. Its answer is {"next": [ISO, ...]} or {"error": "..."}.
    """
    asked = {**options, "prev": prev}
    if batch:
        if words:
            raise BadInput(f"--batch reads the expressions from standard input; leave {words[0]!r} out")
        _answer_lines(asked)
        return
    question = Question.read({**asked, "expr": _expression(words)}, system_clock())
    output = Output()
    if as_json:
        output.json([tick.isoformat() for tick in question.ticks()])
    else:
        _tell(question, output)


def reply(line: bytes, defaults: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the answer to one line of a batch: `next` with the ticks, or `error`; no line raises anything."""
    try:
        given = {key: value for key, value in _json_object(line).items() if value is not None}
        return {"next": [tick.isoformat() for tick in Question.read({**defaults, **given}, now).ticks()]}
    except OrchError as error:
        return {"error": str(error)}


def _expression(words: tuple[str, ...]) -> str:
    if not words:
        raise BadInput(f"name an expression, as in {EXAMPLE}, or use --batch")
    if len(words) > 1:
        raise BadInput(f"the expression is one argument; put it into quotes, as in {EXAMPLE}")
    return words[0]


def _answer_lines(defaults: Mapping[str, Any]) -> None:
    if sys.stdin is None:
        raise BadInput("--batch reads standard input, which is closed")
    for line in sys.stdin.buffer:
        answer = reply(line, defaults, system_clock())
        click.echo(json.dumps(answer))  # flushes each line, so that a program can ask, read and ask again


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(line.decode("utf-8-sig").strip())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the line is not JSON ({error}); write it like {_LINE}") from None
    if not isinstance(parsed, dict):
        raise BadInput(f"the line is JSON but not an object; write it like {_LINE}")
    return parsed


def _tell(question: Question, output: Output) -> None:
    output.line(f"{question.expression}: {question.expression.describe()}")
    output.line(f"zone {question.zone}, clock changes by the rule {question.dst}")
    ticks = list(question.ticks())
    for tick in ticks:
        output.line(f"{tick:%a} {tick.isoformat(sep=' ')}{_remark(question, tick)}")
    if len(ticks) < question.count:
        output.line(f"no {'earlier' if question.backwards else 'later'} tick in the years 1 to 9999")


def _remark(question: Question, tick: datetime) -> str:
    if not question.expression.matches(tick.replace(tzinfo=None)):
        return "  for a time that the clock skips"
    return "  the clock shows this time again" if tick.fold else ""


_LINE = '{"expr": "0 6 * * *", "tz": "Europe/Berlin"}'
