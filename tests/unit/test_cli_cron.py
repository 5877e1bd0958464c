"""`orch cron`: questions by options and by lines, answers for people and programs, mistakes in one line."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from orch.cli.commands.cron import reply
from orch.cli.main import cli
from orch.domain.zones import find_zone, zone_names
from orch.errors import NotFound

NOW = datetime(2024, 5, 17, 13, 14, 15, tzinfo=UTC)
ORCH = [sys.executable, "-m", "orch", "cron"]


def run(*args: str, stdin: str = ""):
    return CliRunner().invoke(cli, ["cron", *args], input=stdin)


def ask(*args: str):
    done = run(*args, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def answer(**question: object):
    return reply(json.dumps(question).encode(), {}, NOW)


# Options


def test_the_next_tick_carries_the_offset_of_the_zone():
    assert ask("0 6 * * *", "--after", "2024-01-01") == ["2024-01-01T06:00:00+00:00"]
    assert ask("0 6 * * *", "--after", "2024-01-01", "--tz", "Asia/Kolkata") == ["2024-01-01T06:00:00+05:30"]


def test_after_is_excluded_in_both_directions():
    noon = ("0 12 * * *", "--after", "2024-01-02T12:00")
    assert ask(*noon) == ["2024-01-03T12:00:00+00:00"]
    assert ask(*noon, "--prev") == ["2024-01-01T12:00:00+00:00"]


def test_after_without_an_offset_is_wall_time_in_the_zone_and_with_one_an_instant():
    zone = ("0 12 * * *", "--tz", "America/New_York", "--after")
    assert ask(*zone, "2024-07-01T12:00") == ["2024-07-02T12:00:00-04:00"]
    assert ask(*zone, "2024-07-01T12:00+00:00") == ["2024-07-01T12:00:00-04:00"]
    assert ask(*zone, "2024-07-01T16:00:00Z") == ["2024-07-02T12:00:00-04:00"]


def test_several_ticks_before_come_latest_first():
    assert ask("@monthly", "--after", "2024-03-10", "--prev", "-n", "3") == [
        *("2024-03-01T00:00:00+00:00", "2024-02-01T00:00:00+00:00", "2024-01-01T00:00:00+00:00"),
    ]


def test_without_after_the_search_begins_now():
    before = datetime.now(UTC)
    (tick,) = ask("* * * * * *")
    assert 0 <= (datetime.fromisoformat(tick) - before).total_seconds() < 60
    (tick,) = ask("* * * * * *", "--prev")
    assert -1 <= (datetime.fromisoformat(tick) - before).total_seconds() < 60


def test_the_rule_for_clock_changes_is_vixie_unless_named():
    half_past = ("30 2 * * *", "--tz", "Europe/Berlin", "--after", "2024-03-31")
    assert ask(*half_past) == ask(*half_past, "--dst", "vixie") == ["2024-03-31T03:00:00+02:00"]
    assert ask(*half_past, "--dst", "skip") == ["2024-04-01T02:30:00+02:00"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--after", "9997-06-01", "-n", "5"), ["9998-01-01", "9999-01-01"]),
        (("--after", "9999-06-01"), []),
        (("--after", "0003-06-01", "-n", "5", "--prev"), ["0003-01-01", "0002-01-01", "0001-01-01"]),
        (("--after", "0001-01-01", "--prev"), []),
        (("--after", "0001-01-01T00:00+14:00", "--prev"), []),
        (("--after", "9999-12-31T23:59-14:00"), []),
    ],
)
def test_nothing_is_left_beyond_the_calendar(args, expected):
    assert [tick.partition("T")[0] for tick in ask("0 0 1 1 *", *args)] == expected


def test_people_read_words_zone_and_what_a_clock_change_did():
    zone = ("--tz", "Europe/Berlin", "--after")
    assert run("30 2 * * *", *zone, "2024-03-30T12:00", "-n", "2").stdout.splitlines() == [
        "30 2 * * *: at 02:30 every day",
        "zone Europe/Berlin, clock changes by the rule vixie",
        "Sun 2024-03-31 03:00:00+02:00  for a time that the clock skips",
        "Mon 2024-04-01 02:30:00+02:00",
    ]
    assert run("30 * * * *", *zone, "2024-10-27T02:00", "-n", "2").stdout.splitlines()[2:] == [
        "Sun 2024-10-27 02:30:00+02:00",
        "Sun 2024-10-27 02:30:00+01:00  the clock shows this time again",
    ]
    assert run("@yearly", "--after", "9999-06-01").stdout.splitlines()[-1] == (
        "no later tick in the years 1 to 9999"
    )


# Mistakes


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["60 * * * *"], "bad cron expression '60 * * * *', column 1: minute 60 is not in 0-59"),
        (["-5 * * * *"], "bad cron expression '-5 * * * *', column 1: the minute is missing"),
        (["0 0 30 2 *"], "column 5: there is no day of month 30 in month 2"),
        (["0 0 * *\n9"], "column 9: day of week 9 is not in 0-7"),
        ([""], "column 1: 0 fields"),
        ([], "name an expression"),
        (["0", "6", "*", "*", "*"], "put it into quotes"),
        (["@daily", "--tz", "Europe/Berln"], "'Europe/Berln'; did you mean 'Europe/Berlin'?"),
        (["@daily", "--after", "tomorrow"], "'tomorrow', which is not a moment; write 2026-01-31"),
        (["@daily", "--after", ""], "'', which is not a moment"),
        (["@daily", "--dst", "vixi"], "unknown rule 'vixi' for clock changes; did you mean 'vixie'?"),
        (["@daily", "--dst", "never"], "use one of vixie, skip, once, twice"),
        (["@daily", "-n", "0"], "'n' is 0; it must be from 1 to 10000"),
        (["@daily", "-n", "10001"], "'n' is 10001; it must be from 1 to 10000"),
        (["@daily", "-n", "9" * 100], "'n' is a number of more than 60 digits"),
        (["--batch", "@daily"], "leave '@daily' out"),
    ],
)
@pytest.mark.parametrize("json_flag", [[], ["--json"]])
def test_a_mistake_is_one_line_and_exit_code_2(args, text, json_flag):
    done = run(*json_flag, *args)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert text in line


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("Lord Howe", "Australia/Lord_Howe"),
        ("utc", "UTC"),
    ],
)
def test_an_unknown_zone_is_answered_with_the_nearest_one(name, meant):
    with pytest.raises(NotFound, match=f"unknown time zone {name!r}; did you mean {meant!r}"):
        find_zone(name)


@pytest.mark.parametrize(
    "name",
    ["", "PST", "CEST", "+02:00", "Mars/Phobos", "/etc/localtime", "a\0b", "\ud800", "x" * 9999],
)
def test_a_name_that_is_near_to_no_zone_is_answered_with_an_example(name):
    with pytest.raises(NotFound, match="write a name of the tz database such as 'Europe/Berlin'") as error:
        find_zone(name)
    assert len(str(error.value)) < 200


def test_every_listed_zone_is_found():
    assert {str(find_zone(name)) for name in zone_names()} == set(zone_names())


# Lines


def test_a_line_is_answered_as_the_command_answers():
    question = {"expr": "*/7 1 * * *", "after": "2024-10-27", "tz": "Europe/Berlin", "n": 4, "dst": "twice"}
    options = ("--after", "2024-10-27", "--tz", "Europe/Berlin", "-n", "4", "--dst", "twice")
    assert answer(**question) == {"next": ask("*/7 1 * * *", *options)}
    assert answer(**question, prev=True) == {"next": ask("*/7 1 * * *", *options, "--prev")}


def test_what_a_line_leaves_out_or_null_has_its_default():
    assert answer(expr="@daily") == {"next": ["2024-05-18T00:00:00+00:00"]}
    nulls = dict.fromkeys(("after", "tz", "n", "prev", "dst"))
    assert answer(expr="@daily", **nulls) == {"next": ["2024-05-18T00:00:00+00:00"]}


def test_options_are_the_defaults_of_the_lines():
    lines = '{"expr": "@daily", "tz": null}\n{"expr": "@daily", "tz": "UTC", "prev": false}\n'
    done = run("--batch", "--after", "2024-01-01T12:00Z", "--tz", "Asia/Tokyo", "--prev", stdin=lines)
    assert [json.loads(line)["next"] for line in done.stdout.splitlines()] == [
        *(["2024-01-01T00:00:00+09:00"], ["2024-01-02T00:00:00+00:00"]),
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"", "the line is not JSON (Expecting value"),
        (b"nope", "the line is not JSON"),
        (b"\xff\xfe", "the line is not JSON ('utf-8' codec"),
        (b"[" * 100_000, "the line is not JSON"),
        (b'{"n": ' + b"1" * 5000 + b"}", "the line is not JSON"),
        (b"[]", "the line is JSON but not an object"),
        (b"null", "the line is JSON but not an object"),
        (b"{}", "'expr' is missing; write it like"),
        (b'{"expr": null}', "'expr' is missing"),
        (b'{"expr": 5}', "'expr' must be a text, not a whole number"),
        (b'{"expr": "@daily", "after": 0}', "'after' must be a text, not a whole number"),
        (b'{"expr": "@daily", "tz": ["UTC"]}', "'tz' must be a text, not a list"),
        (b'{"expr": "@daily", "n": "3"}', "'n' must be a whole number, not a text"),
        (b'{"expr": "@daily", "n": 3.0}', "'n' must be a whole number, not a number with a point"),
        (b'{"expr": "@daily", "n": NaN}', "'n' must be a whole number, not a number with a point"),
        (b'{"expr": "@daily", "n": true}', "'n' must be a whole number, not true or false"),
        (b'{"expr": "@daily", "prev": 1}', "'prev' must be true or false, not a whole number"),
        (b'{"expr": "@daily", "prev": {}}', "'prev' must be true or false, not an object"),
        (b'{"expr": "@daily", "n": 1000000}', "'n' is 1000000; it must be from 1 to 10000"),
        (b'{"expr": "@daily", "n": -1}', "'n' is -1; it must be"),
        (b'{"expr": "@daily", "afte": "x"}', "unknown key 'afte'; did you mean 'after'?"),
        (b'{"expr": "@daily", "": 1}', "unknown key ''; use one of expr, after, tz, n, prev, dst"),
        (b'{"expr": "\\ud800 * * * *"}', "column 1: minute '\\ud800' is not a number"),
        (b'{"expr": "@daily", "after": "\\ud800"}', "which is not a moment"),
        (b'{"expr": "0 0 31 6 *"}', "column 5: there is no day of month 31 in month 6"),
    ],
)
def test_a_bad_line_is_answered_with_its_error(line, text):
    (key, error), *more = reply(line, {}, NOW).items()
    assert (key, more) == ("error", [])
    assert text in error


def test_the_most_ticks_of_a_line_are_given():
    ticks = answer(expr="@daily", after="2024-01-01", n=10_000)["next"]
    assert (len(ticks), ticks[-1]) == (10_000, "2051-05-19T00:00:00+00:00")


def test_a_line_may_begin_with_a_byte_order_mark_and_end_like_on_windows():
    assert "next" in reply(b'\xef\xbb\xbf{"expr": "@daily"}\r\n', {}, NOW)


# Real processes


def test_a_batch_answers_each_line_before_the_next_is_written():
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [*ORCH, "--batch"], env=buffered, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in (b'{"expr": "@daily", "after": "2024-01-01"}\n', b"nope\n", b'{"expr": "@daily"}\n'):
            process.stdin.write(line)
            process.stdin.flush()
            assert json.loads(process.stdout.readline()).keys() == (
                {"error"} if b"nope" in line else {"next"}
            )
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


def test_a_batch_whose_reader_has_gone_ends_in_silence():
    process = subprocess.Popen(
        [*ORCH, "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(b'{"expr": "@daily"}\n' * 3, timeout=30)
    assert (process.returncode, errors) == (141, b"")


def test_a_batch_without_standard_input_says_so():
    # What the interpreter has for a standard input that was closed before its start is None.
    code = "import sys; sys.stdin = None; from orch.cli.main import cli; cli.main(['cron', '--batch'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: --batch reads standard input, which is closed\n")


def test_help_imports_neither_zones_nor_cron():
    code = (
        "import sys; sys.argv = ['orch', '--help']\n"
        "from orch.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"zoneinfo", "orch.domain.cron", "orch.cli.commands.cron"} & set(done.stderr.split())
