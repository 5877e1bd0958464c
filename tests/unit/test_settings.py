"""Settings: where values come from, what they become, and what is refused."""

from pathlib import Path

import pytest

from orch.errors import ConfigurationError
from orch.settings import SETTINGS, Settings, find_home, load_settings, masked


def with_file(home: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    (home / "orch.toml").write_text(text, encoding="utf-8")
    return load_settings(home, environ or {})


def refusal(home: Path, environ: dict[str, str] | None = None, text: str | None = None) -> str:
    if text is not None:
        (home / "orch.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(home, environ or {})
    return str(caught.value)


def test_defaults_need_no_file_and_no_folder(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "not-there", {})
    assert settings.scheduler.poll_seconds == 1.0
    assert settings.core.executor == "LocalExecutor"
    assert settings.plugins.folder is None
    assert set(settings.sources.values()) == {"default", "command line"}  # the latter: of the home


def test_the_database_lies_in_the_home_by_default(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {}).database.url == f"sqlite:///{tmp_path}/orch.db"


def test_a_home_with_signs_of_urls_is_escaped_in_the_default_address(tmp_path: Path) -> None:
    url = load_settings(tmp_path / "a?b#c %41 é", {}).database.url
    assert url == f"sqlite:///{tmp_path}/a%3Fb%23c%20%2541%20%C3%A9/orch.db"


def test_parallelism_follows_the_usable_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert load_settings(tmp_path, {}).worker.parallelism == 16


def test_parallelism_is_at_least_four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    assert load_settings(tmp_path, {}).worker.parallelism == 4


def test_the_file_wins_over_the_default(tmp_path: Path) -> None:
    settings = with_file(tmp_path, "[scheduler]\npoll_seconds = 3\n")
    assert settings.scheduler.poll_seconds == 3.0
    assert settings.sources["scheduler.poll_seconds"] == f"file {tmp_path / 'orch.toml'}"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    settings = with_file(tmp_path, "[scheduler]\npoll_seconds = 3\n", {"ORCH_SCHEDULER_POLL_SECONDS": "0.5"})
    assert settings.scheduler.poll_seconds == 0.5
    assert settings.sources["scheduler.poll_seconds"] == "environment ORCH_SCHEDULER_POLL_SECONDS"


def test_the_command_line_wins_over_the_environment(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {"ORCH_DAGS": "/env"}, {"core.dags_folder": "/option"})
    assert settings.core.dags_folder == Path("/option")
    assert settings.sources["core.dags_folder"] == "command line"


def test_the_short_names_set_the_same_settings(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {"ORCH_DAGS": "/my/dags", "ORCH_PLUGINS": "/my/plugins"})
    assert settings.core.dags_folder == Path("/my/dags")
    assert settings.plugins.folder == Path("/my/plugins")


def test_two_names_of_one_setting_must_agree(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"ORCH_DAGS": "/a", "ORCH_CORE_DAGS_FOLDER": "/b"})
    assert "ORCH_DAGS and ORCH_CORE_DAGS_FOLDER set core.dags_folder differently" in message


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {"ORCH_DAGS": "", "ORCH_WORKER_PARALLELISM": ""})
    assert settings.sources["core.dags_folder"] == "default"


def test_relative_paths_count_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(tmp_path / "home", {"ORCH_DAGS": "../shared/dags"})
    assert settings.core.dags_folder == tmp_path.parent / "shared" / "dags"


def test_relative_paths_in_the_file_count_from_the_file(tmp_path: Path) -> None:
    settings = with_file(tmp_path, '[core]\ndags_folder = "../dags"\n')
    assert settings.core.dags_folder == tmp_path.parent / "dags"


def test_a_symbolic_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "release-1").mkdir()
    (tmp_path / "current").symlink_to("release-1")
    settings = load_settings(tmp_path, {"ORCH_DAGS": str(tmp_path / "current")})
    assert settings.core.dags_folder == tmp_path / "current"


def test_home_is_named_by_the_environment_or_lies_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_home({}) == tmp_path / ".orch"
    assert find_home({"ORCH_HOME": "elsewhere"}) == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("environ", "home", "source"),
    [
        ({}, ".orch", "default"),
        ({"ORCH_HOME": "else"}, "else", "environment ORCH_HOME"),
        ({"ORCH_HOME": "else"}, "option", "command line"),
    ],
)
def test_the_source_of_home_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], home: str, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(Path(home), environ)
    assert (settings.core.home, settings.sources["core.home"]) == (tmp_path / home, source)


def test_home_cannot_stand_in_its_own_file(tmp_path: Path) -> None:
    assert "set ORCH_HOME" in refusal(tmp_path, text='[core]\nhome = "/x"\n')


def test_lists_come_from_commas_or_from_a_toml_list(tmp_path: Path) -> None:
    settings = with_file(
        tmp_path, '[plugins]\nblocked = ["a", "b"]\n', {"ORCH_PLUGINS_REQUIRED": "local, standard,"}
    )
    assert settings.plugins.blocked == ("a", "b")
    assert settings.plugins.required == ("local", "standard")


def test_an_unknown_setting_is_answered_with_the_nearest(tmp_path: Path) -> None:
    message = refusal(tmp_path, text="[scheduler]\npol_seconds = 1\n")
    assert message.endswith("unknown setting scheduler.pol_seconds; did you mean 'scheduler.poll_seconds'?")


def test_an_unknown_section_is_answered_with_the_nearest(tmp_path: Path) -> None:
    assert "unknown section [shceduler]; did you mean 'scheduler'?" in refusal(
        tmp_path, text="[shceduler]\npoll_seconds = 1\n"
    )


def test_a_setting_outside_of_a_section_is_refused(tmp_path: Path) -> None:
    assert "unknown section [poll_seconds]" in refusal(tmp_path, text="poll_seconds = 1\n")


def test_an_unknown_variable_of_a_section_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"ORCH_WORKER_PARALELISM": "3"})
    assert message == (
        "unknown environment variable ORCH_WORKER_PARALELISM; did you mean 'ORCH_WORKER_PARALLELISM'?"
    )


def test_variables_of_other_kinds_are_left_alone(tmp_path: Path) -> None:
    load_settings(tmp_path, {"ORCH_DAG_ID": "x", "ORCH_FAILPOINT": "y", "ORCH_TESTING": "1", "HOME": "/root"})


def test_an_unknown_override_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean 'core\.dags_folder'"):
        load_settings(tmp_path, {}, {"core.dag_folder": "x"})


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("ORCH_WORKER_PARALLELISM", "many", "it must be a whole number"),
        ("ORCH_WORKER_PARALLELISM", "2.5", "it must be a whole number"),
        ("ORCH_WORKER_PARALLELISM", "0", "it must be at least 1"),
        ("ORCH_SCHEDULER_POLL_SECONDS", "soon", "it must be a number"),
        ("ORCH_SCHEDULER_POLL_SECONDS", "nan", "it must be finite"),
        ("ORCH_SCHEDULER_POLL_SECONDS", "inf", "it must be finite"),
        ("ORCH_SCHEDULER_POLL_SECONDS", "-1", "it must be at least 0.01"),
    ],
)
def test_impossible_texts_are_refused_by_name(tmp_path: Path, name: str, text: str, problem: str) -> None:
    message = refusal(tmp_path, {name: text})
    assert problem in message
    assert f"(environment {name})" in message
    assert repr(text) in message


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('worker.parallelism = "3"', "it must be a whole number"),
        ("worker.parallelism = true", "it must be a whole number"),
        ("worker.parallelism = 2.0", "it must be a whole number"),
        ("scheduler.poll_seconds = true", "it must be a number"),
        ("core.executor = 5", "it must be a text"),
        ("core.dags_folder = 5", "it must be a path"),
        ('core.dags_folder = ""', "it must not be empty"),
        ('plugins.required = "local"', 'as in ["a", "b"]'),
        ("plugins.required = [1]", 'as in ["a", "b"]'),
    ],
)
def test_wrong_types_in_the_file_are_refused(tmp_path: Path, line: str, problem: str) -> None:
    assert problem in refusal(tmp_path, text=line)


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    message = refusal(tmp_path, text="[scheduler]\npoll_seconds =\n")
    assert str(tmp_path / "orch.toml") in message
    assert "line 2" in message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "orch.toml").write_bytes(b"\xff\xfe")
    assert "cannot be read" in refusal(tmp_path)


def test_a_lease_must_outlast_a_late_heartbeat(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"ORCH_WORKER_LEASE_SECONDS": "9"})
    assert (
        "worker.heartbeat_seconds = 5 (default) must be at most a third of worker.lease_seconds = 9"
        in message
    )


def test_an_xcom_must_fit_a_message_to_a_task_process(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"ORCH_WORKER_XCOM_MAX_BYTES": "100000000"})
    assert "worker.xcom_max_bytes" in message
    assert "it must be at most 33_554_432" in message


def test_every_setting_can_be_read_from_its_section(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {})
    for setting in SETTINGS:
        assert hasattr(getattr(settings, setting.section), setting.key), setting.name
    assert set(settings.sources) == {setting.name for setting in SETTINGS}


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("database.url", "postgresql://me:s3cret@db/orch", "postgresql://me:***@db/orch"),
        ("database.url", "postgresql://me:a@b:c@db/orch", "postgresql://me:***@db/orch"),
        (
            "database.url",
            "postgresql://db/o?user=me&password=x&z=1",
            "postgresql://db/o?user=me&password=***&z=1",
        ),
        ("database.url", "sqlite:////srv/orch.db", "sqlite:////srv/orch.db"),
        ("smtp.password", "x", "***"),
        ("smtp.password", "", ""),
        ("worker.parallelism", 4, 4),
    ],
)
def test_passwords_are_masked(name: str, value: object, shown: object) -> None:
    assert masked(name, value) == shown
