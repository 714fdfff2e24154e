"""The rules that keep the parts apart, read from the source without importing it."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("reference", "sdk_build", "benchmarks")
# The rooms in their order: whoever is in one of them may import its own room and those above it in this list. A room is
# a folder or a single module; what is not listed is a command, below all of them, which nothing but a command imports.
ROOMS = (
    # What a model promises.
    "reference.errors",
    "reference.program",
    "reference.spec",
    "reference.card",
    "reference.model_folder",
    # From files to tensors.
    "reference.geometry",
    "reference.inputs",
    # The networks, and what is stored of them.
    "reference.networks",
    "reference.checkpoint",
    "reference.registry",
    "reference.golden",
    # Labelled data, what a result means and how good it is, several steps that make one result.
    "reference.data",
    "reference.tasks",
    "reference.pipelines",
    "reference.animation",
    "reference.train",
    # What every command shares.
    "sdk_build.errors",
    "sdk_build.quiet",
    "sdk_build.command",
    # From a network to an artifact.
    "sdk_build.lowering",
    "sdk_build.mil",
    "sdk_build.backends",
    # From an artifact to a bundle that was proved.
    "sdk_build.proof",
    "sdk_build.bundle",
    "sdk_build.build",
    "sdk_build.quantize",
    "sdk_build.new",
    "sdk_build.bisect",
    # What people and apps see of a bundle.
    "sdk_build.predict",
    "sdk_build.report",
    "sdk_build.app_vectors",
)
# Training explores; what ships must not depend on it.
NEVER = {"sdk_build": ("reference.train",), "benchmarks": ("reference.train",)}
MOST_MODULES = 18  # directly in one folder
MOST_LINES = 400  # of a file
MOST_FUNCTION_LINES = 60
TOOLCHAINS = {
    *("ai_edge_litert", "ai_edge_quantizer", "coreai", "coreai_opt", "coreai_torch", "coremltools", "executorch"),
    *("litert_torch", "torchao"),
}
# Where a toolchain may be imported, inside functions: the backends, the examples of Core ML models, the timing of
# runtimes.
TOOLCHAIN_PLACES = (
    "sdk_build.backends.",
    "sdk_build.mil.examples",
    "sdk_build.quiet",
    "benchmarks.",
)
# --help and everything that an app's developer runs on a bundle must not wait for torch.
WITHOUT_TORCH = (
    "reference.errors reference.program reference.spec reference.card reference.golden reference.geometry",
    "reference.inputs",
    "reference.tasks reference.pipelines reference.data.raw_files reference.evaluate reference.animation",
    "sdk_build.errors sdk_build.quiet sdk_build.command sdk_build.proof sdk_build.bundle sdk_build.build",
    "sdk_build.backends.__init__ sdk_build.predict sdk_build.report sdk_build.app_vectors",
    "sdk_build.mil.__main__ sdk_build.mil.command.inspect sdk_build.mil.files",
    "sdk_build.commands sdk_build.export sdk_build.verify sdk_build.evaluate sdk_build.app_results",
    "sdk_build.quantize.__main__",
    "benchmarks.compare benchmarks.measure benchmarks.run",
)
# Layers and maps that several networks share.
NOT_NETWORKS = {"reference.networks", "reference.networks.layers", "reference.networks.point_maps"}
SKIPPED_FOLDERS = {"dist", "runs", "node_modules"}
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
    return sorted(set(of(set(SOURCES), "reference.networks")) - NOT_NETWORKS)


def room_of(module: str) -> str:
    """The room that a module is in; the module itself where it is a command."""
    if module.endswith(".__main__"):
        return module
    return next((room for room in ROOMS if of({module}, room)), module)


def edges(module: str) -> dict[str, set[str]]:
    """The modules that a module names in its imports, anywhere in it, with the names that tie them."""
    found: dict[str, set[str]] = {}
    for node in _statements(_tree(module).body, functions=True):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.setdefault(alias.name, set()).add(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _imported(module, node)[0]
            for alias in node.names:
                found.setdefault(base, set()).add(alias.name)
                found.setdefault(f"{base}.{alias.name}", set()).add(alias.name)
    return {other: names for other, names in found.items() if other in SOURCES and other != module}


def wrong_ways() -> list[str]:
    """Imports from a room to one below it, or into a room that is closed, as lines."""
    order = {room: number for number, room in enumerate(ROOMS)}
    found = []
    for module in SOURCES:
        here = order.get(room_of(module), len(ROOMS))
        closed = NEVER.get(module.split(".")[0], ())
        for other, names in edges(module).items():
            there = order.get(room_of(other), len(ROOMS))
            if there > here or of({other}, *closed):
                found.append(f"{module} imports {', '.join(sorted(names))} from {other}")
    return found


def circles(graph: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Pairs of modules that reach each other, the first of which names the second."""

    @cache
    def reach(start: str) -> frozenset[str]:
        seen: set[str] = set()
        waiting = list(graph[start])
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting += graph[module]
        return frozenset(seen)

    return [(module, other) for module in graph for other in graph[module] if module in reach(other)]


def test_the_rules_see_what_they_forbid() -> None:
    lines = ["import a.b", "if TYPE_CHECKING:", " import t", "try:", " from c import d", "finally:", " pass"]
    body = ast.parse("\n".join([*lines, "def f():", " import e"])).body
    found = [{n for s in _statements(body, f) for n in _imported("reference.spec", s)} for f in (False, True)]
    assert found == [{"a.b", "c", "c.d"}, {"a.b", "c", "c.d", "e"}]
    assert of({"torch.nn", "torchao", "torch"}, "torch") == ["torch", "torch.nn"]
    relative = ast.parse("from .errors import BadInput").body[0]
    assert _imported("reference.spec", relative) == ["reference.errors", "reference.errors.BadInput"]
    assert {f"reference.networks.{name}" for name in ("classifier", "template_keypoints", "voxel")} <= set(_networks())
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [("a", "b"), ("b", "c"), ("c", "a")]
    assert room_of("sdk_build.predict.sheet") == "sdk_build.predict"
    assert room_of("sdk_build.predict.__main__") == "sdk_build.predict.__main__"
    assert "get_task" in edges("sdk_build.proof.parity")["reference.tasks"]


def test_every_room_is_there() -> None:
    assert [room for room in ROOMS if not of(set(SOURCES), room)] == []


def test_imports_run_one_way() -> None:
    found = wrong_ways()
    assert not found, "\n".join(found)


def test_no_two_files_need_each_other() -> None:
    ties = {module: edges(module) for module in SOURCES}
    found = circles({module: set(others) for module, others in ties.items()})
    assert not found, "\n".join(f"{a} <-> {b}: {', '.join(sorted(ties[a][b]))}" for a, b in found)


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_build_on_each_other(package: str) -> None:
    later = PACKAGES[PACKAGES.index(package) + 1 :]
    found = {m: bad for m in of(set(SOURCES), package) if (bad := of(imports(m), *later, "tests"))}
    assert not found, f"{package} may import only {', '.join(PACKAGES)} up to itself: {found}"


@pytest.mark.parametrize("module", _networks())
def test_networks_stand_alone(module: str) -> None:
    others = [m for m in _networks() if m != module]
    assert not of(imports(module), *others), "what two networks share belongs into layers"


def test_rooms_are_small() -> None:
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in SOURCES.values())
    assert {folder: count for folder, count in counts.items() if count > MOST_MODULES} == {}


@pytest.mark.parametrize("module", SOURCES)
def test_files_and_functions_are_short(module: str) -> None:
    lines = len(SOURCES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{module} has {lines} lines; is it one thing?"
    functions = [n for n in ast.walk(_tree(module)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    # The list of a command's options is a table.
    long = {
        f.name: size
        for f in functions
        if (size := (f.end_lineno or 0) - f.lineno + 1) > MOST_FUNCTION_LINES and "add_argument" not in ast.unparse(f)
    }
    assert not long, f"{module}: {long} have more than {MOST_FUNCTION_LINES} lines"


def test_generic_code_asks_the_task() -> None:
    asks = re.compile(r"if .*(name|task) == [\"']")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for module, path in SOURCES.items()
        if not of({module}, "reference.tasks")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if asks.search(line)
    ]
    assert asks.search('elif spec.name == "classifier":')
    assert not found, f"branches on the name of a model or task: {', '.join(found)}"


@pytest.mark.parametrize("module", SOURCES)
def test_toolchains_are_imported_where_they_are_needed(module: str) -> None:
    assert not of(imports(module, functions=False), *TOOLCHAINS), f"{module}: import the toolchain inside a function"
    if not _allowed_toolchain_place(module):
        assert not of(imports(module), *TOOLCHAINS), f"{module}: only {', '.join(TOOLCHAIN_PLACES)} may use a toolchain"


def test_light_modules_do_not_load_torch() -> None:
    named = [name for line in WITHOUT_TORCH for name in line.split()]
    assert [name for name in named if not of(set(SOURCES), name.removesuffix(".__init__"))] == []
    light = {name.removesuffix(".__init__") for name in named if name.endswith(".__init__")}
    light |= {module for name in named if not name.endswith(".__init__") for module in of(set(SOURCES), name)}
    heavy = {module: chain for module in sorted(light) if (chain := _way_to_torch(module))}
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
            built = path.name == "build" and path.parent.name != "sdk_build"
            if not hidden and not built and path.name not in SKIPPED_FOLDERS and not path.name.endswith(".egg-info"):
                yield from _texts(path)
        elif path.name != ".git" and path.suffix.lower() in TEXT_SUFFIXES and path.stat().st_size < 2_000_000:
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
