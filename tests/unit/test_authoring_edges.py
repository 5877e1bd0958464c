"""Edges: the operators and functions that say which task waits for which."""

from typing import Any

import pytest

from orch import DAG, DagDefinitionError, PythonOperator, chain, cross_downstream, task


@pytest.fixture
def made() -> DAG:
    with DAG("x") as made:
        for name in "abcdef":
            PythonOperator(task_id=name, python_callable=print)
    return made


def edges(made: DAG) -> set[str]:
    return {f"{before}{after}" for before, after in made.to_spec().graph.edges()}


def pick(made: DAG, names: str) -> Any:
    tasks = [made.get_task(name) for name in names]
    return tasks if len(tasks) > 1 else tasks[0]


def test_shifts_link_and_return_what_is_on_the_right(made: DAG) -> None:
    a, b, c = pick(made, "abc")
    assert (a >> b >> c) is c
    assert (pick(made, "f") << pick(made, "e")) is pick(made, "e")
    assert edges(made) == {"ab", "bc", "ef"}


def test_shifts_take_lists_on_either_side(made: DAG) -> None:
    a, b, c, d = pick(made, "abcd")
    a >> [b, c] >> d
    [b, [c]] << pick(made, "e")
    assert edges(made) == {"ab", "ac", "bd", "cd", "eb", "ec"}


def test_set_upstream_and_set_downstream_are_the_same_in_words(made: DAG) -> None:
    a, b, c = pick(made, "abc")
    a.set_downstream([b, c])
    c.set_upstream(b)
    assert edges(made) == {"ab", "ac", "bc"}
    assert a.downstream_task_ids == {"b", "c"}
    assert c.upstream_task_ids == {"a", "b"}


def test_results_stand_for_their_tasks(made: DAG) -> None:
    with made:
        one, two = (task(task_id=name)(lambda: 1)() for name in ("one", "two"))
        one >> [two, pick(made, "a")]
        pick(made, "b") << two
    assert edges(made) >= {"onetwo", "onea", "twob"}


def test_a_repeated_edge_changes_nothing(made: DAG) -> None:
    a, b = pick(made, "ab")
    a >> b
    a >> b
    assert edges(made) == {"ab"}


def test_chain_links_neighbours_and_lists_pairwise(made: DAG) -> None:
    chain(pick(made, "a"), pick(made, "bc"), pick(made, "de"), pick(made, "f"))
    assert edges(made) == {"ab", "ac", "bd", "ce", "df", "ef"}


def test_chain_refuses_lists_of_different_lengths(made: DAG) -> None:
    with pytest.raises(DagDefinitionError, match="a list of 2 is followed by a list of 3"):
        chain(pick(made, "ab"), pick(made, "cde"))


def test_cross_downstream_links_each_to_each(made: DAG) -> None:
    cross_downstream(pick(made, "ab"), pick(made, "cd"))
    assert edges(made) == {"ac", "ad", "bc", "bd"}


@pytest.mark.parametrize("nonsense", [None, 5, "b", {"b": 1}, [None]])
def test_an_edge_to_nonsense_is_refused(made: DAG, nonsense: Any) -> None:
    with pytest.raises(DagDefinitionError, match="an edge cannot lead to or from"):
        pick(made, "a") >> nonsense


def test_an_edge_between_two_dags_is_refused(made: DAG) -> None:
    with DAG("other"):
        elsewhere = PythonOperator(task_id="z", python_callable=print)
    with pytest.raises(DagDefinitionError, match="from task 'a' of DAG 'x' to task 'z' of DAG 'other'"):
        pick(made, "a") >> elsewhere
