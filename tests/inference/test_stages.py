"""The clock of a film's stages."""

import pytest

from pleura.inference.stages import STAGES, Stages, stage


def test_each_film_has_a_number_a_stage() -> None:
    stages = Stages()
    with stages.watched():
        for _ in range(2):  # two networks
            with stage("network"):
                pass
        stages.next_film()
        stages.add("write", 2.0)
        stages.add("write", 3.0)
        stages.next_film()
    assert {len(numbers) for numbers in stages.milliseconds.values()} == {2}
    assert tuple(stages.milliseconds) == STAGES
    assert stages.milliseconds["network"][0] > 0
    assert stages.milliseconds["network"][1] == 0
    assert list(stages.milliseconds["write"]) == [0.0, 5.0]


def test_nothing_is_taken_down_unless_someone_watches() -> None:
    stages = Stages()
    with stages.watched():
        pass
    with stage("network"):
        pass
    stages.next_film()
    assert stages.milliseconds["network"][0] == 0.0


def test_a_stage_that_fails_is_timed_and_the_error_passes() -> None:
    stages = Stages()
    with stages.watched(), pytest.raises(ZeroDivisionError), stage("decode"):
        _ = 1 / 0
    stages.next_film()
    assert stages.milliseconds["decode"][0] > 0


def test_an_unknown_stage_is_a_mistake() -> None:
    with Stages().watched(), pytest.raises(KeyError), stage("lunch"):
        pass
