# ruff: noqa: T201
"""Films a second that one process trains on with all cores, against several that share them (`--devices`).

    python benchmarks/devices.py DATA [--recipe NAME] [--settings KEY=VALUE ...] [--devices N] [--turns N]

DATA is a prepared dataset with a split. Each turn trains the recipe for two epochs both ways, as
`pleura train` does, and takes the rate of the second. The ways take turns and change their order.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def rate(arguments: argparse.Namespace, devices: int) -> float:
    threads = max(1, (os.cpu_count() or 1) // devices)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        subprocess.run(
            [
                Path(sys.executable).parent / "pleura", "train", arguments.recipe, *arguments.settings,
                "epochs=2", "patience=null", "monitor=last", "tune_every=null",
                f"epoch_films={arguments.films}", "--data", arguments.data, "--out", run,
                "--device", "cpu", "--devices", str(devices),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )  # fmt: skip
        with (run / "log.csv").open(newline="") as file:
            return float(list(csv.DictReader(file))[-1]["films_per_second"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--recipe", default="light")
    parser.add_argument("--settings", nargs="*", default=["network.init=random"])
    parser.add_argument("--devices", type=int, default=os.cpu_count())
    parser.add_argument("--films", type=int, default=96)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], arguments.devices: []}
    for turn in range(arguments.turns):
        for devices in sorted(rates, reverse=bool(turn % 2)):
            rates[devices].append(rate(arguments, devices))
            print(f"{devices} process(es): {rates[devices][-1]:.1f} films/s", flush=True)
    pairs = [many / one for one, many in zip(rates[1], rates[arguments.devices], strict=True)]
    for devices, found in rates.items():
        print(
            f"{devices} process(es): {statistics.median(found):.1f} films/s, median of {len(found)}"
        )
    low, middle, high = statistics.quantiles(pairs, n=4)
    print(f"{arguments.devices} processes are {middle:.2f} x ({low:.2f} to {high:.2f}) one")


if __name__ == "__main__":
    main()
