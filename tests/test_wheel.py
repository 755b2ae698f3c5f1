"""What is built holds what the code opens at run time, and nothing that is not its own."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pleura
from pleura.training.recipe import file

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BUILD = PYPROJECT["tool"]["hatch"]["build"]
WHEEL = BUILD["targets"]["wheel"]
RECIPES = {f"pleura/recipes/{path.name}" for path in (ROOT / "recipes").glob("*.yaml")}
TEMPLATES = {
    path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("templates/*")
}

# Looks from inside the unpacked wheel, with no checkout beside it.
OPENS = """
from pleura.outputs.html import _source
from pleura.training.recipe import find_recipe
import pleura
print(pleura.__file__, find_recipe("light"), len(_source("base.html.j2")), sep="\\n")
"""


def test_versions_that_do_not_work_are_out_of_range() -> None:
    core = {
        one.name: one.specifier for one in map(Requirement, PYPROJECT["project"]["dependencies"])
    }
    assert "3.0.0" not in core["pydicom"]  # its import fetches files
    assert "0.15.3" not in core["typer"]  # any --help ends in a TypeError beside click 8.2
    assert "1.26.4" not in core["numpy"]  # opencv-python-headless 4.12 wants 2


def test_the_viewer_is_in_wheel_and_sdist() -> None:
    assert BUILD["artifacts"] == [
        "src/pleura/service/static"
    ]  # of every target: git passes it over


def test_what_is_opened_at_run_time_is_declared() -> None:
    assert WHEEL["packages"] == ["src/pleura"]  # templates lie in it, and so come along
    assert WHEEL["force-include"] == {"recipes": "pleura/recipes"}
    assert len(RECIPES) >= 2
    assert "pleura/outputs/templates/base.html.j2" in TEMPLATES


def test_recipes_are_looked_for_where_the_wheel_has_them() -> None:
    inside = Path(pleura.__file__).parent / "recipes"
    assert file._FOLDERS[0] == inside


def test_an_sdist_holds_neither_the_weights_nor_the_page_s_sources(tmp_path: Path) -> None:
    backend = pytest.importorskip("hatchling.builders.sdist", reason="hatchling is not installed")
    built = next(backend.SdistBuilder(str(ROOT)).build(directory=str(tmp_path)))
    with tarfile.open(built) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert names >= {f"src/{name}" for name in TEMPLATES} | {"recipes/light.yaml", "LICENSE"}
    assert {name.partition("/")[0] for name in names if "/" in name} == {"src", "recipes", "tests"}


def test_a_built_wheel_works_on_its_own(tmp_path: Path) -> None:
    backend = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    built = next(backend.WheelBuilder(str(ROOT)).build(directory=str(tmp_path)))
    with zipfile.ZipFile(built) as wheel:
        names = set(wheel.namelist())
        wheel.extractall(tmp_path / "site")
    assert names >= RECIPES | TEMPLATES
    modules = {p.relative_to(ROOT / "src").as_posix() for p in (ROOT / "src").rglob("*.py")}
    assert names >= modules
    assert not [name for name in names if name.startswith("tests/") or name.endswith(".pyc")]
    said = subprocess.run(
        [sys.executable, "-c", OPENS],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [Path(line).is_relative_to(tmp_path / "site") for line in said[:2]] == [True, True]
    assert int(said[2]) > 100
