"""The brake: verdicts by lease wait for one full lease after the scheduler was blind or a clock jumped."""

import pytest

from orch.scheduler import rescue
from orch.scheduler.rescue import Brake


@pytest.fixture
def boot(monkeypatch):
    """The boot clock, in seconds; `boot[0] = x` sets it."""
    now = [1000.0]
    monkeypatch.setattr(rescue, "monotonic", lambda: now[0])
    return now


def look(brake: Brake, boot: list[float], database: float | None = None) -> bool:
    return brake.released(int((5e9 + boot[0] if database is None else database) * 1_000_000))


def test_a_scheduler_that_has_just_started_waits_one_lease(boot):
    brake = Brake(30)
    assert not look(brake, boot)
    for boot[0] in range(1000, 1030, 5):
        assert not look(brake, boot)
    boot[0] = 1030
    assert look(brake, boot)


def released(boot: list[float]) -> Brake:
    brake = Brake(30)
    for boot[0] in range(1000, 1031, 5):
        look(brake, boot)
    assert look(brake, boot)
    return brake


def test_after_an_outage_of_the_database_it_waits_again(boot):
    brake = released(boot)
    boot[0] += 11
    assert not look(brake, boot)
    for _ in range(6):
        boot[0] += 5
        last = look(brake, boot)
    assert last


def test_after_a_jump_of_the_database_s_clock_it_waits_again(boot):
    brake = released(boot)
    boot[0] += 1
    assert not look(brake, boot, 5e9 + boot[0] + 3600)


def test_small_differences_do_not_hold_it(boot):
    brake = released(boot)
    boot[0] += 5
    assert look(brake, boot, 5e9 + boot[0] + 3)
