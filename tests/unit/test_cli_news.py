"""News: what a supervisor tells of its components and a view hears."""

import select

from orch.cli.news import News
from orch.processes import ComponentEvent


def heard(news: News) -> list[tuple[str, str, int]]:
    return [(state.name, state.kind, state.starts) for state in news.listen()]


def test_each_change_is_heard_once():
    with News() as news:
        news.tell(ComponentEvent("scheduler", "started", 1))
        news.tell(ComponentEvent("worker", "started", 2))
        assert heard(news) == [("scheduler", "started", 1), ("worker", "started", 1)]
        assert heard(news) == []


def test_the_descriptor_is_readable_when_there_is_news():
    with News() as news:
        assert select.select([news], [], [], 0)[0] == []
        news.tell(ComponentEvent("worker", "started", 2))
        assert select.select([news], [], [], 0)[0] == [news]


def test_a_restart_counts_the_starts():
    with News() as news:
        news.tell(ComponentEvent("worker", "started", 2))
        news.tell(ComponentEvent("worker", "restarting", 2, "signal 9 (SIGKILL)", 0.1))
        news.tell(ComponentEvent("worker", "started", 3))
        assert heard(news) == [
            ("worker", "started", 1),
            ("worker", "restarting", 1),
            ("worker", "started", 2),
        ]


def test_a_late_listener_hears_the_state_of_all():
    """A view that was started again gets everything with the next event."""
    with News() as news:
        news.tell(ComponentEvent("worker", "started", 2))
        list(news.listen())
        news._heard.clear()
        news.tell(ComponentEvent("view", "started", 9))
        assert {name for name, _, _ in heard(news)} == {"worker", "view"}


def test_hidden_components_are_not_told():
    with News(hidden=("view",)) as news:
        news.tell(ComponentEvent("view", "started", 9))
        assert heard(news) == []


def test_news_that_nobody_reads_is_dropped_instead_of_blocking():
    with News() as news:
        for pid in range(20_000):
            news.tell(ComponentEvent("worker", "started", pid))
        assert heard(news)[0] == ("worker", "started", 1)


def test_a_request_to_stop_is_heard_once_however_often_it_is_made():
    with News() as news:
        news.tell_stopping()
        news.tell_stopping()
        assert heard(news) == [("everything", "stopping", 0)]
        news.tell_stopping()
        assert heard(news) == []
