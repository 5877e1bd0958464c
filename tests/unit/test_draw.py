"""Pictures of dags, compared with what a reader should see."""

import re
from collections.abc import Iterable
from itertools import pairwise

import pytest

from orch.cli.draw import draw_dag, legend
from orch.domain.graph import Graph
from orch.domain.states import TaskState
from orch.errors import CycleError


def graph_of(tasks: Iterable[str], edges: Iterable[tuple[str, str]] = ()) -> Graph:
    graph = Graph()
    for task in tasks:
        graph.add_task(task)
    for upstream, downstream in edges:
        graph.add_edge(upstream, downstream)
    return graph


def chain(*tasks: str) -> Graph:
    return graph_of(tasks, pairwise(tasks))


def fan(width: int) -> Graph:
    middle = [f"fan_{index}" for index in range(width)]
    edges = [("start", task) for task in middle] + [(task, "end") for task in middle]
    return graph_of(["start", *middle, "end"], edges)


WEATHER = graph_of(
    ["download", "validate", "yearly", "monthly", "load", "chart", "report", "publish"],
    [
        ("download", "validate"),
        *[("validate", "yearly"), ("validate", "monthly"), ("yearly", "load"), ("monthly", "load")],
        *[("load", "chart"), ("load", "report"), ("chart", "publish"), ("report", "publish")],
    ],
)


def picture(lines: list[str]) -> str:
    return "\n" + "\n".join(lines) + "\n"


def test_a_small_dag_is_boxes_from_left_to_right() -> None:
    assert (
        picture(draw_dag(WEATHER))
        == """
╭──────────╮   ╭──────────╮   ╭─────────╮   ╭──────╮   ╭────────╮   ╭─────────╮
│ download │──▶│ validate │─┬▶│ yearly  │─┬▶│ load │─┬▶│ chart  │─┬▶│ publish │
╰──────────╯   ╰──────────╯ │ ╰─────────╯ │ ╰──────╯ │ ╰────────╯ │ ╰─────────╯
                            │ ╭─────────╮ │          │ ╭────────╮ │
                            ╰▶│ monthly │─╯          ╰▶│ report │─╯
                              ╰─────────╯              ╰────────╯
"""
    )


def test_a_box_says_its_state_in_a_symbol_and_a_word() -> None:
    states = {"extract": "success", "transform": "running"}
    assert (
        picture(draw_dag(chain("extract", "transform", "load"), states))
        == """
╭───────────╮   ╭───────────╮   ╭────────╮
│ extract   │──▶│ transform │──▶│ load   │
│ ✓ success │   │ ● running │   │ ○ none │
╰───────────╯   ╰───────────╯   ╰────────╯
"""
    )


def test_an_edge_over_several_levels_passes_under_the_boxes_between() -> None:
    assert (
        picture(draw_dag(graph_of("abc", [("a", "b"), ("b", "c"), ("a", "c")])))
        == """
╭───╮   ╭───╮   ╭───╮
│ a │─┬▶│ b │─┬▶│ c │
╰───╯ │ ╰───╯ │ ╰───╯
      │       │
      ╰───────╯
"""
    )


def test_boxes_are_ordered_so_that_edges_do_not_cross_and_a_late_root_stands_by_its_follower() -> None:
    edges = [("s", "a"), ("s", "b"), ("a", "y"), ("b", "x"), ("y", "end"), ("x", "end"), ("late", "end")]
    assert (
        picture(draw_dag(graph_of(["s", "a", "b", "x", "y", "late", "end"], edges)))
        == """
╭───╮   ╭───╮   ╭──────╮   ╭─────╮
│ s │─┬▶│ a │──▶│ y    │─┬▶│ end │
╰───╯ │ ╰───╯   ╰──────╯ │ ╰─────╯
      │ ╭───╮   ╭──────╮ │
      ╰▶│ b │──▶│ x    │─┤
        ╰───╯   ╰──────╯ │
                ╭──────╮ │
                │ late │─╯
                ╰──────╯
"""
    )


def test_boxes_without_unicode() -> None:
    graph = graph_of("abcd", [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")])
    assert (
        picture(draw_dag(graph, unicode=False))
        == """
.---.   .---.   .---.
| a |-+>| b |-+>| d |
'---' | '---' | '---'
      | .---. |
      '>| c |-'
        '---'
"""
    )


def test_a_dag_too_wide_for_boxes_has_a_row_per_task_and_lanes_for_edges() -> None:
    states = dict.fromkeys(WEATHER, "success") | {"chart": "failed", "publish": "upstream_failed"}
    assert (
        picture(draw_dag(WEATHER, states, width=60))
        == """
✓    download  success
✓    validate  success
├─✓  yearly    success
✓ │  monthly   success
✓─╯  load      success
├─✗  chart     failed
✓ │  report    success
⊘─╯  publish   upstream_failed
"""
    )


def test_edges_that_boxes_could_not_tell_apart_are_drawn_as_lanes() -> None:
    graph = graph_of(["a", "b", "both", "only_b"], [("a", "both"), ("b", "both"), ("b", "only_b")])
    assert (
        picture(draw_dag(graph))
        == """
●    a
│ ●  b
●─┤  both
  ●  only_b
"""
    )


def test_a_row_under_a_leaf_does_not_look_like_its_follower() -> None:
    edges = [("a", "leaf"), ("b", "next"), ("c", "next"), ("c", "leaf"), ("next", "end")]
    assert (
        picture(draw_dag(graph_of(["a", "c", "leaf", "b", "next", "end"], edges), width=20))
        == """
●      a
│ ●    c
●─┤    leaf
  │ ●  b
  ●─╯  next
  ●    end
"""
    )


def test_lanes_without_unicode() -> None:
    assert (
        picture(draw_dag(fan(4), {"end": "skipped"}, unicode=False, width=30))
        == """
o        start  none
+-o      fan_0  none
+-|-o    fan_1  none
+-|-|-o  fan_2  none
o | | |  fan_3  none
/-'-'-'  end    skipped
"""
    )


def test_very_many_tasks_with_the_same_neighbours_are_one_entry() -> None:
    states = {f"fan_{index}": "success" if index >= 10 else "running" for index in range(1000)}
    lines = draw_dag(fan(1000), states)
    assert len(lines) == 4
    assert "fan_0 … fan_999" in lines[1]
    assert "● 1000 tasks: 990 success, 10 running" in lines[2]


def test_a_fold_without_states_says_how_many_it_stands_for() -> None:
    lines = draw_dag(fan(20), width=40, unicode=False)
    assert [line.split()[1:] for line in lines if "fan" in line] == [["fan_0", "..", "fan_19", "20", "tasks"]]


def test_tasks_without_edges_are_not_mistaken_for_a_chain() -> None:
    names = [f"step_{index}" for index in range(12)]
    graph = graph_of([*names, "alone", "lonely"], pairwise(names))
    assert draw_dag(graph)[-4:] == ["", "not connected to any task:", "●  alone", "●  lonely"]


def test_disconnected_small_parts_are_drawn_below_each_other() -> None:
    assert (
        picture(draw_dag(graph_of("abc", [("a", "b")])))
        == """
╭───╮   ╭───╮
│ a │──▶│ b │
╰───╯   ╰───╯
╭───╮
│ c │
╰───╯
"""
    )


def test_too_many_lanes_become_a_list_of_what_each_task_waits_for() -> None:
    tasks = [f"t{index}" for index in range(12)]
    graph = graph_of([*tasks, "end"], [(task, "end") for task in tasks] + [("t0", "t11")])
    lines = draw_dag(graph, width=24)
    assert lines[:2] == ["●  t0", "●  t1"]
    assert lines[-2] == "●  t11  after t0"
    assert lines[-1] == "●  end  after t0, t1, t…"


def test_a_long_name_gives_way_to_the_state() -> None:
    lines = draw_dag(chain("x" * 80, "z"), {"z": "upstream_failed"}, width=40)
    assert lines == ["○  " + "x" * 19 + "…  none", "⊘  z                     upstream_failed"]


def test_label_chooses_the_name_and_cannot_send_codes_to_the_terminal() -> None:
    lines = draw_dag(chain("a", "b"), label=lambda task: f"{task}\x1b[31m\n!", width=10)
    assert lines == ["●  a?[3…", "●  b?[3…"]


def test_wide_characters_count_as_two_cells() -> None:
    assert draw_dag(chain("データ", "b"), width=20)[1] == "│ データ │──▶│ b │"
    assert draw_dag(chain("データ", "b"), width=20, unicode=False)[1] == "| ??? |-->| b |"


def test_style_colours_what_is_said_about_states_and_nothing_else() -> None:
    def style(state: str, text: str) -> str:
        return f"\x1b[{state}m{text}\x1b[0m"

    for width in (100, 25):
        plain = draw_dag(WEATHER, {"load": "failed"}, width=width)
        styled = draw_dag(WEATHER, {"load": "failed"}, width=width, style=style)
        assert [re.sub(r"\x1b\[\w+m", "", line) for line in styled] == plain
        assert re.findall(r"\x1b\[failedm(.+?)\x1b", "\n".join(styled)) == ["✗", "failed"]


def test_every_state_has_its_own_words_and_a_symbol() -> None:
    text = "   ".join(legend(TaskState, width=1000))
    assert set(text.split("   ")) >= {"✓ success", "✗ failed", "● running", "○ none", "◌ queued"}
    assert "·" not in text
    assert len(text.split("   ")) == len(TaskState)
    assert "?" not in "".join(legend(set(TaskState) - {TaskState.AWAITING_INPUT}, unicode=False))


def test_legend_is_wrapped_and_shows_each_state_once() -> None:
    states = ["success", "failed", "success", "brand_new"]
    assert legend(states) == ["✗ failed   ✓ success   · brand_new"]
    assert legend(states, width=22, unicode=False) == ["x failed   v success", "? brand_new"]
    assert legend([]) == []


def test_an_empty_dag_is_no_lines_and_a_cycle_is_an_error() -> None:
    assert draw_dag(Graph()) == []
    with pytest.raises(CycleError):
        draw_dag(graph_of("ab", [("a", "b"), ("b", "a")]))
