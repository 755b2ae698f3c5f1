"""The directions of import that the layout promises, read from the code itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "pleura"

# Each room may import from the rooms listed with it, and from itself.
CORE = {
    "errors", "cores", "files", "radiograph", "orientation", "extent", "frame", "finding", "config",
}  # fmt: skip
LOW = CORE | {"networks", "read"}
MIDDLE = LOW | {"data", "inference", "outputs"}
ALLOWED = {
    "errors": set(),
    "cores": set(),
    "files": {"errors"},
    "config": {"errors"},
    "radiograph": {"errors", "orientation"},
    "orientation": set(),
    "frame": set(),
    "extent": {"errors", "radiograph"},
    "finding": {"errors", "radiograph", "orientation", "extent"},
    "read": CORE,
    "networks": CORE,
    "outputs": CORE | {"read"},
    "data": LOW,
    "inference": LOW,
    "archive": MIDDLE,
    "pacs": LOW,
    "evaluation": MIDDLE,
    "training": MIDDLE | {"evaluation"},
    "service": MIDDLE | {"pacs"},
    "cli": MIDDLE | {"archive", "pacs", "evaluation", "training", "service"},
    "__init__": MIDDLE,
    "__main__": {"cli"},
}
HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "lightning_fabric",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "openvino",
    "safetensors",
    "tensorboard",
}
MAY_BE_HEAVY = {"networks", "training"}
SERVING = {"dbos", "fastapi", "prometheus_client", "starlette", "uvicorn"}


def imports(path: Path, *, top_only: bool = False) -> set[str]:
    """The dotted names a module imports; with `top_only`, only those of its own level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_only else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


MODULES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_down_only(path: Path) -> None:
    here = room(path)
    assert here in ALLOWED, f"{here} is a new room: say in this test whom it may import"
    used = {name.split(".")[1] for name in imports(path) if name.startswith("pleura.")}
    used &= ALLOWED.keys()  # the rest are names from the package itself
    assert used <= ALLOWED[here] | {here}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_heavy_libraries_are_imported_only_where_they_are_used(path: Path) -> None:
    heavy = {name.split(".")[0] for name in imports(path, top_only=True)} & HEAVY
    assert not heavy or room(path) in MAY_BE_HEAVY


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_the_service_s_libraries_are_imported_by_the_service_alone(path: Path) -> None:
    serving = {name.split(".")[0] for name in imports(path, top_only=True)} & SERVING
    assert not serving or room(path) == "service"


def test_everything_but_training_imports_without_the_train_extra() -> None:
    blocked = sorted(HEAVY | SERVING | {"pydantic"})
    program = (
        f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
        "import pleura, pleura.cli, pleura.read, pleura.outputs.overlay, pleura.outputs.html\n"
        "import pleura.inference.detector, pleura.archive.run, pleura.data.prepare\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
