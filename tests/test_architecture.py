"""The rules that keep the parts apart, read from the source without importing it."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("reference", "sdk_build", "benchmarks")
TOOLCHAINS = {"ai_edge_litert", "ai_edge_quantizer", "coremltools", "executorch", "litert_torch", "torchao"}
# Where a toolchain may be imported, inside functions: the backends, the reader of Core ML programs, the timing of
# runtimes.
TOOLCHAIN_PLACES = (
    "sdk_build.backends.",
    "sdk_build.quantize.",
    "sdk_build.mil.reader",
    "sdk_build.quiet",
    "benchmarks.",
)
# --help and everything that an app's developer runs on a bundle must not wait for torch.
WITHOUT_TORCH = {
    "reference": "__init__ camera card depth_files depth_voxelizer errors geometry golden postprocess preprocess spec",
    "sdk_build": "__init__ app_results app_signatures app_vectors build bundle card_page command delegation draw "
    "errors export manifest metrics parity "
    "predict predict_depth quiet records report sandbox signing verify",
    "benchmarks": "__init__ compare measure run",
}
# Everything in reference that is no network: layers, and the files that a network is built from or used by.
NOT_NETWORKS = {
    *(
        "__init__",
        "card",
        "checkpoint",
        "detection",
        "errors",
        "evaluate",
        "face_boxes",
        "face_pipeline",
        "golden",
        "layers",
        "point_maps",
        "postprocess",
    ),
    *("animate", "camera", "depth_files", "depth_voxelizer", "preprocess", "registry", "spec", "voxel_gallery"),
}
SKIPPED_FOLDERS = {"build", "dist", "runs", "node_modules"}
TEXT_SUFFIXES = {
    *(".py", ".pyi", ".toml", ".lock", ".yaml", ".yml", ".md", ".cfg", ".json", ".sh", ".html", ".css", ".js", ".mjs"),
    *(".ts", ".tsx", ".kt", ".kts", ".java", ".swift", ".gradle", ".xml", ".properties", ".plist", ".csv", ".txt", ""),
}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(SOURCES[module].read_text(encoding="utf-8"))


def _imported(module: str, node: ast.stmt) -> list[str]:
    """Absolute names that an import statement may load; ``from a import b`` gives a and a.b."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        above = module.split(".")[: None if SOURCES[module].name == "__init__.py" and node.level == 1 else -node.level]
        base = ".".join([*above, base]).rstrip(".")
    return [base, *(f"{base}.{alias.name}" for alias in node.names)]


def _statements(body: list[ast.stmt], functions: bool) -> Iterator[ast.stmt]:
    """Statements that run; without ``functions`` only those that run on import (not under TYPE_CHECKING)."""
    for node in body:
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not functions:
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            for child in getattr(node, field, []):
                yield from _statements([child] if isinstance(child, ast.stmt) else child.body, functions)


def imports(module: str, functions: bool = True) -> set[str]:
    """What a module imports, anywhere or only when it is imported itself."""
    return {name for node in _statements(_tree(module).body, functions) for name in _imported(module, node)}


def of(names: set[str], *roots: str) -> list[str]:
    """The names that are one of the roots or inside one."""
    return sorted(name for name in names for root in roots if name == root or name.startswith(f"{root}."))


def _allowed_toolchain_place(module: str) -> bool:
    return any(module == place or (place.endswith(".") and module.startswith(place)) for place in TOOLCHAIN_PLACES)


def _networks() -> list[str]:
    return [
        m for m in SOURCES if re.fullmatch(r"reference\.\w+", m) and m.split(".")[1] not in NOT_NETWORKS | _folders()
    ]


def _folders() -> set[str]:
    return {path.name for path in (ROOT / "reference").iterdir() if path.is_dir()}


def test_the_rules_see_what_they_forbid() -> None:
    lines = ["import a.b", "if TYPE_CHECKING:", " import t", "try:", " from c import d", "finally:", " pass"]
    body = ast.parse("\n".join([*lines, "def f():", " import e"])).body
    found = [{n for s in _statements(body, f) for n in _imported("reference.spec", s)} for f in (False, True)]
    assert found == [{"a.b", "c", "c.d"}, {"a.b", "c", "c.d", "e"}]
    assert of({"torch.nn", "torchao", "torch"}, "torch") == ["torch", "torch.nn"]
    relative = ast.parse("from .errors import BadInput").body[0]
    assert _imported("reference.spec", relative) == ["reference.errors", "reference.errors.BadInput"]
    assert {"reference.classifier", "reference.template_keypoints", "reference.voxel"} <= set(_networks())
    assert not of(set(_networks()), *(f"reference.{name}" for name in NOT_NETWORKS))


@pytest.mark.parametrize("module", SOURCES)
def test_imports_run_one_way(module: str) -> None:
    later = PACKAGES[PACKAGES.index(module.split(".")[0]) + 1 :]
    assert not of(imports(module), *later, "tests"), (
        f"{module} may import only {', '.join(PACKAGES)} up to its own package"
    )


@pytest.mark.parametrize("module", [m for m in SOURCES if m.startswith("reference")])
def test_inside_reference(module: str) -> None:
    own = set(of(imports(module), "reference")) - {"reference"}
    name = module.removeprefix("reference.")
    if name == "errors":
        assert not own
    elif name == "spec":
        assert not own - set(of(own, "reference.errors"))
    elif name.startswith("geometry"):
        assert not own - set(of(own, "reference.errors", "reference.geometry"))
    elif name == "layers":
        assert not of(own, *_networks(), "reference.registry", "reference.train", "reference.data")
    elif module in _networks():
        assert not of(own, *(m for m in _networks() if m != module)), "what two networks share belongs into layers"
        assert not of(own, "reference.registry", "reference.train", "reference.data", "reference.checkpoint")


@pytest.mark.parametrize("module", SOURCES)
def test_toolchains_are_imported_where_they_are_needed(module: str) -> None:
    assert not of(imports(module, functions=False), *TOOLCHAINS), f"{module}: import the toolchain inside a function"
    if not _allowed_toolchain_place(module):
        assert not of(imports(module), *TOOLCHAINS), f"{module}: only {', '.join(TOOLCHAIN_PLACES)} may use a toolchain"


def test_light_modules_do_not_load_torch() -> None:
    light = {f"{package}.{name}" for package, names in WITHOUT_TORCH.items() for name in names.split()}
    light = {name.removesuffix(".__init__") for name in light}
    light |= {module for module in SOURCES if module.startswith("reference.geometry.")}
    heavy = {module: chain for module in sorted(light & set(SOURCES)) if (chain := _way_to_torch(module))}
    assert not heavy, "\n".join(" -> ".join(chain) for chain in heavy.values())


def _way_to_torch(module: str, seen: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The chain of imports that loads torch when ``module`` is imported; empty where there is none."""
    names = imports(module, functions=False)
    if of(names, "torch"):
        return (module, "torch")
    # Importing a.b.c runs a and a.b first.
    names |= {name.rsplit(".", count)[0] for name in names for count in range(1, name.count(".") + 1)}
    for name in sorted(names & set(SOURCES) - {module, *seen}):
        if chain := _way_to_torch(name, (*seen, module)):
            return (module, *chain)
    return ()


@pytest.mark.parametrize("module", SOURCES)
def test_every_module_says_what_it_is(module: str) -> None:
    assert ast.get_docstring(_tree(module)), f"{SOURCES[module].relative_to(ROOT)} has no docstring"


def _exports(module: str) -> list[str] | None:
    for node in _tree(module).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


@pytest.mark.parametrize("module", [module for module in SOURCES if _exports(module) is not None])
def test_public_names_exist(module: str) -> None:
    names, loaded = _exports(module) or [], importlib.import_module(module)
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(loaded, name)] == []


def _texts(folder: Path = ROOT) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name != ".ci"
        if path.is_dir():
            if not hidden and path.name not in SKIPPED_FOLDERS and not path.name.endswith(".egg-info"):
                yield from _texts(path)
        elif path.suffix.lower() in TEXT_SUFFIXES and path.stat().st_size < 2_000_000:
            yield path


def test_no_path_of_one_machine() -> None:
    # Put together here, or this file would find itself.
    homes = re.compile(r"(?<![\w.~/-])/(?:" + "|".join(("home", "root", "work", "Users")) + r")/\w")
    assert homes.search("open('" + "/ho" + "me/me/x')")
    assert not homes.search("models/" + "work/x") and not homes.search("https://host/" + "ho" + "me/x")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _texts()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if homes.search(line)
    ]
    assert not found, f"absolute paths of one machine: {', '.join(found)}"
