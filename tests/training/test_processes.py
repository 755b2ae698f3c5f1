"""Several processes: the same steps as one, the same end, and none that outlives the first."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import DeviceUnavailable, TrainingError
from pleura.training.processes import Processes, follows, share, told_of_others

WITHOUT_NORMS = (
    "unet-original",
    "input.size=64",
    "network.options.filters=[4,8,16]",
    "network.options.padded=true",
    "network.options.dropout=0.0",
    "optimizer.learning_rate=1e-3",
    "augmentation=light",
    "batch_size=6",
    "micro_batch=2",
    "epochs=3",
    "precision=32",
    "monitor=last",
)
"""A network whose step is that of its films, wherever each of them is."""


def one_of(world: int, rank: int = 0) -> Fabric:
    return cast(Fabric, SimpleNamespace(world_size=world, global_rank=rank))


@pytest.mark.parametrize("films", [12, 13, 17])
def test_every_batch_is_divided_into_equal_parts_and_its_rest_left_out(films: int) -> None:
    assert share(films, one_of(1), 6) == list(range(12))
    halves = [share(films, one_of(2, rank), 6) for rank in range(2)]
    assert halves == [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11]]


def test_less_than_a_batch_is_divided_too() -> None:
    assert share(5, one_of(1), 6) == [0, 1, 2, 3, 4]
    assert [share(5, one_of(2, rank), 6) for rank in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(TrainingError, match="an epoch of 1 films cannot be divided among 2"):
        share(1, one_of(2), 6)


def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Processes.wanted(None) == Processes(1, 1)
    with pytest.raises(DeviceUnavailable, match="at least one device; 0 were"):
        Processes.wanted(0)
    with pytest.raises(
        TrainingError, match=r"batch of 16 films .* among 3 devices; give batch_size=18"
    ):
        Processes(3).check("cpu", 16)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(DeviceUnavailable, match="4 devices were asked for, and torch finds 2 GPUs"):
        Processes(4).check("cuda", 16)


def test_torchrun_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not follows()
    told = {"LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8", "RANK": "4", "LOCAL_RANK": "0"}
    for name, value in {**told, "TORCHELASTIC_RUN_ID": "here"}.items():
        monkeypatch.setenv(name, value)
    assert Processes.wanted(None) == Processes.wanted(4) == Processes(4, 2, launched=True)
    assert follows()  # the first of its machine, but not of all
    with pytest.raises(DeviceUnavailable, match="2 devices were asked for, and torchrun started 4"):
        Processes.wanted(2)


def test_a_lost_process_is_told_in_a_line() -> None:
    with (
        pytest.raises(TrainingError, match="another process of this run has ended"),
        told_of_others(),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer")
    with pytest.raises(RuntimeError, match="the shapes differ"), told_of_others():
        raise RuntimeError("the shapes differ")


def command(blocks: Dataset, split: Path, out: Path, *more: str) -> list[str]:
    pleura = str(Path(sys.executable).parent / "pleura")
    data = ["--data", str(blocks.root), "--split", str(split), "--out", str(out)]
    return [pleura, "train", *WITHOUT_NORMS, *data, *more]


def begun(arguments: Sequence[str]) -> "subprocess.Popen[str]":
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def until(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdout
    said = []
    for line in process.stdout:
        said.append(line)
        if text in line:
            return
    raise AssertionError(f"it ended without {text!r}:\n{''.join(said)}")


def rest(process: "subprocess.Popen[str]") -> str:
    """What it still says. Ends only when all processes have: each holds the pipe."""
    try:
        return process.communicate(timeout=120)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def test_two_processes_interrupted_and_killed_end_where_one_does(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    split = tmp_path / "split.json"
    blocks_split.save(split)
    alone = begun(command(blocks, split, tmp_path / "one"))
    assert "3 epochs" in rest(alone)

    both = command(blocks, split, tmp_path / "two", "--devices", "2")
    interrupted = begun(both)
    until(interrupted, "epoch   1")
    os.killpg(interrupted.pid, signal.SIGINT)
    said = rest(interrupted)
    assert interrupted.returncode == 130
    assert said.count("Interrupted. The same command resumes") == 1
    assert "Traceback" not in said

    killed = begun(both)
    until(killed, "epoch   2")
    killed.kill()
    assert "Traceback" not in rest(killed)

    resumed = begun(both)
    said = rest(resumed)
    assert resumed.returncode == 0, said
    assert said.count("epoch   3") == 1
    assert "epoch   2" not in said
    one, two = (load_file(tmp_path / name / "best.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], rtol=1e-3, atol=1e-5)
    points = [(tmp_path / name / "operating_point.json").exists() for name in ("one", "two")]
    assert points == [True, True]


def test_what_the_loss_does_not_reach_is_waited_for_by_none(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    split = tmp_path / "split.json"
    blocks_split.save(split)
    phases = (
        "[{name: presence, epochs: 1, loss: [{name: bce, on: presence}], monitor: auc}, "
        "{name: mask, epochs: 1, loss: [{name: bce}]}]"
    )
    small = [
        "network.options.encoder=mobilenetv2_050",
        "network.options.decoder_channels=[8,8]",
        "input.size=64",
        "batch_size=4",
        "micro_batch=1",
        "epoch_films=8",
        "epochs=2",
        f"phases={phases}",
    ]
    arguments = command(blocks, split, tmp_path / "run", "--devices", "2")
    arguments[2 : 2 + len(WITHOUT_NORMS)] = ["joint", *small]
    done = begun(arguments)
    said = rest(done)
    assert done.returncode == 0, said
    assert "epoch   2" in said


NOT_FINITE = """
    import sys
    from pathlib import Path
    import numpy as np
    import torch
    from pleura.data.dataset import FilmSet
    from pleura.data.manifest import Dataset
    from pleura.errors import NonFiniteLoss
    from pleura.inference.preprocess import InputSpec, squeeze
    from pleura.training.fabric import choose_fabric
    from pleura.training.loop import Trainer
    from pleura.training.processes import launch
    from pleura.training.recipe import find_recipe, read_recipe
    from pleura.training.start import build
    from pleura.training.run import RunFolder

    recipe = read_recipe(find_recipe("unet-original"), sys.argv[3:])
    fabric = choose_fabric(recipe, "cpu")
    launch(fabric)
    data = Dataset.open(Path(sys.argv[1]))
    films = FilmSet(data, sorted(data.by_id), recipe.input.size, squeeze)
    trainer = Trainer(recipe, build(recipe), lambda _: (films, films), RunFolder(Path(sys.argv[2])), fabric)
    images, masks, indices = next(iter(trainer.loader(np.arange(12))))
    if fabric.global_rank == 1:
        images[1] = float("nan")
    before = [p.clone() for p in trainer.network.parameters()]
    try:
        trainer.step(images, masks, indices)
    except NonFiniteLoss as error:
        same = all(map(torch.equal, before, trainer.network.parameters()))
        Path(sys.argv[2], f"{fabric.global_rank}.txt").write_text(f"{same} {error}")
"""


def test_a_loss_that_is_not_finite_in_one_process_stops_all_of_them(
    blocks: Dataset, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(NOT_FINITE))
    torchrun = [str(Path(sys.executable).parent / "torchrun"), "--nproc-per-node", "2"]
    arguments = [str(script), str(blocks.root), str(tmp_path), *WITHOUT_NORMS[1:]]
    done = begun([*torchrun, *arguments])
    assert (rest(done), done.returncode)[1] == 0
    said: list[Any] = [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)]
    assert said[0] == said[1]
    assert said[0].startswith("True the loss is not finite in epoch 1, step 1")
    assert "film-00 (0." in said[0]
    assert "film-04 (nan)" in said[0]
