"""Which numbers a run computes in."""

import time
from itertools import accumulate, cycle

import pytest
import torch

from pleura.training import fabric
from pleura.training.fabric import BF16, F32, fabric_for


def of(precision: str, began: str | None = None) -> str:
    return str(fabric_for(precision, "cpu", began)._precision.precision)


def machine(monkeypatch: pytest.MonkeyPatch, *has: str, quicker: bool | None = None) -> None:
    def measured() -> bool:
        assert quicker is not None, "nothing is to be measured here"
        return quicker

    monkeypatch.setattr(fabric, "_cpu_has", lambda ask: any(one in ask for one in has))
    monkeypatch.setattr(fabric, "_bf16_was_quicker", measured)


def test_what_is_asked_for_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, "avx512_bf16")
    assert of("bf16") == of("bf16", F32) == BF16
    assert of("32") == of("32", BF16) == F32


def test_auto_is_bf16_with_amx_and_float32_without_any_bf16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine(monkeypatch, "amx", "avx512_bf16")
    assert of("auto") == of("auto", F32) == BF16
    machine(monkeypatch)
    assert of("auto") == of("auto", BF16) == F32


@pytest.mark.parametrize("quicker", [True, False])
def test_with_avx512_alone_it_is_measured_and_a_run_stays_with_what_it_began_in(
    monkeypatch: pytest.MonkeyPatch, quicker: bool
) -> None:
    machine(monkeypatch, "avx512_bf16", quicker=quicker)
    assert of("auto") == (BF16 if quicker else F32)
    assert of("auto", F32) == F32
    assert of("auto", BF16) == BF16


@pytest.mark.parametrize(("bf16_takes", "quicker"), [(1.0, True), (3.0, False)])
def test_measuring_follows_the_clock_and_leaves_the_chance_of_the_run_alone(
    monkeypatch: pytest.MonkeyPatch, bf16_takes: float, quicker: bool
) -> None:
    # the clock is read before and after a step, and steps are in turns, float32 first
    readings = accumulate(cycle([0.0, 2.0, 0.0, bf16_takes]))
    monkeypatch.setattr(time, "perf_counter", lambda: next(readings))
    before = torch.random.get_rng_state()
    assert fabric._bf16_was_quicker.__wrapped__() is quicker
    assert torch.equal(before, torch.random.get_rng_state())
