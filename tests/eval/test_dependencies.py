"""Whoever installs `misc-codec[eval]` can import all that misc.eval imports, and what that needs of misc.train."""

import ast
import importlib.util
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]


def imports_of(path: Path, package: str) -> set[str]:
    """Absolute names of all modules that a file imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            name = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            found |= {name} | {f"{name}.{alias.name}" for alias in node.names if name.startswith("misc")}
    return found


def file_of(module: str) -> Path | None:
    """The file of a module of misc.eval or misc.train."""
    parts = module.split(".")
    if parts[:1] != ["misc"] or parts[1:2] not in (["eval"], ["train"]):
        return None
    path = ROOT.joinpath(*parts[1:])
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)


def test_eval_lists_what_it_imports() -> None:
    files = [path.relative_to(ROOT).with_suffix("") for path in ROOT.glob("eval/**/*.py")]
    waiting = {".".join(("misc", *file.parts)) for file in files}
    seen: set[str] = set()
    third_party: set[str] = set()
    while waiting:
        module = waiting.pop()
        seen.add(module)
        path = file_of(module)
        if path is None:
            third_party |= {module.split(".")[0]} - {"misc"} - sys.stdlib_module_names
            continue
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        waiting |= imports_of(path, package) - seen
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"], *project["optional-dependencies"]["eval"]]
    names = {re.match(r"[\w-]+", each)[0].lower().replace("_", "-") for each in listed}  # type: ignore[index]
    providers = metadata.packages_distributions()
    for module in third_party:
        distributions = {each.lower().replace("_", "-") for each in providers.get(module, [module])}
        assert distributions & names, f"[eval] lacks {module}"
