# SPDX-License-Identifier: MIT
"""
What is derived from the source and kept beside it, so that a change shows in review.

    docs/errors.md                  statuses and exceptions
    packages/<name>/api.txt         every public name of the Python package
    integration-tests/data/abi.txt  a digest of each C interface, under its number

Run as a program it writes them anew; `test_documentation.py` compares.
"""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path

import house

ERRORS = house.ROOT / "packages" / "core" / "src" / "pyfaster" / "errors.py"


def _classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [node for node in tree.body if isinstance(node, ast.ClassDef)]


def status_exceptions() -> dict[str, str]:
    """Give the exception of each status in errors.py, both as written there."""
    for node in ast.parse(house.text(ERRORS)).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict):
            if ast.unparse(node.target) != "STATUS_ERRORS":
                continue
            pairs = zip(node.value.keys, node.value.values, strict=True)
            return {
                ast.unparse(key): ast.unparse(value.elts[0])
                for key, value in pairs
                if key is not None and isinstance(value, ast.Tuple)
            }
    raise AssertionError("errors.py has no STATUS_ERRORS")


def errors_page() -> str:
    """Give docs/errors.md."""
    exceptions = status_exceptions()
    lines = [
        "# Errors",
        "",
        "Written by `nox -s records` from `native/include/faster/status.h` and",
        "`packages/core/src/pyfaster/errors.py`.",
        "",
        "## Statuses of the core",
        "",
        "| number | name | sentence | exception |",
        "| --- | --- | --- | --- |",
    ]
    for word, (number, sentence) in house.statuses().items():
        exception = exceptions.get(str(number), "")
        shown = f"`{exception}`" if exception else ""
        lines.append(f"| {number} | `{word}` | {sentence} | {shown} |")
    lines += ["", "Numbers from -1 to -4095 are those of the system (`errno`).", ""]
    lines += [
        "## Exceptions",
        "",
        "| class | is also | meaning |",
        "| --- | --- | --- |",
    ]
    for node in _classes(ast.parse(house.text(ERRORS))):
        bases = [ast.unparse(base) for base in node.bases]
        if bases:
            words = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
            also = ", ".join(f"`{base}`" for base in bases)
            lines.append(f"| `{node.name}` | {also} | {words} |")
    return "\n".join(lines) + "\n"


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    plain = ast.parse(ast.unparse(node)).body[0]
    assert isinstance(plain, ast.FunctionDef | ast.AsyncFunctionDef)
    for part in ast.walk(plain.args):
        if isinstance(part, ast.arg):
            part.annotation = None
    return f"{node.name}({ast.unparse(plain.args)})"


def _members(source: Path, module: str, node: ast.ClassDef) -> set[str]:
    """Give what a class offers, with what it inherits from private modules."""
    members: set[str] = set()
    for base in node.bases:
        words = ast.unparse(base).split("[")[0].split(".")
        home = ".".join([module.split(".")[0], *words[:-1]])
        found = _find(source, module if len(words) == 1 else home, words[-1])
        private = found is not None and "._" in found[0]
        if found and private and isinstance(found[1], ast.ClassDef):
            members |= _members(source, found[0], found[1])
    for part in node.body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            if "overload" not in map(ast.unparse, part.decorator_list):
                members.add(f".{_signature(part)}")
        elif isinstance(part, ast.AnnAssign):
            members.add(f".{ast.unparse(part.target)}")
    return {name for name in members if not re.match(r"\._[^_]", name)}


def _exports(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = [node.name for node in tree.body if isinstance(node, defined)]
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            names.append(ast.unparse(target))
    return [name for name in names if name.isidentifier() and not name.startswith("_")]


def _find(source: Path, module: str, name: str) -> tuple[str, ast.stmt] | None:
    """Follow imports inside one package to where a name is defined."""
    for ending in (".py", ".pyi", "/__init__.py"):
        path = source / (module.replace(".", "/") + ending)
        if not path.is_file():
            continue
        for node in ast.parse(house.text(path)).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return _find(source, node.module, alias.name)
            elif getattr(node, "name", None) == name:
                return module, node
    return None


def _describe(source: Path, module: str, name: str, seen: set[str]) -> list[str]:
    shown = f"{module}.{name}"
    home, node = _find(source, module, name) or (module, None)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [f"{module}.{_signature(node)}"]
    if not isinstance(node, ast.ClassDef):
        return [shown]
    if f"{home}.{name}" in seen:
        return [shown]
    seen.add(f"{home}.{name}")
    return [
        shown,
        *(f"{shown}{member}" for member in sorted(_members(source, home, node))),
    ]


def api(package: Path) -> str:
    """Give api.txt: the public names of a package, a line each."""
    source = package / "src"
    lines: list[str] = []
    seen: set[str] = set()
    modules = sorted(path for path in source.rglob("*.py") if path.parent != source)
    for path in modules:
        parts = path.relative_to(source).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if any(part.startswith("_") for part in parts):
            continue
        module = ".".join(parts)
        place = f"{module}.__init__" if path.stem == "__init__" else module
        for name in sorted(_exports(ast.parse(house.text(path)))):
            lines += _describe(source, place, name, seen)
    shown = (line.replace(".__init__.", ".") for line in lines)
    return "\n".join(dict.fromkeys(shown)) + "\n"


def abi() -> str:
    """Give abi.txt: for each public C header its number and a digest of its code."""
    numbers = {"api.h": "FASTER_ABI", "device.h": "FASTER_DEVICE_ABI"}
    lines = []
    for header, number in numbers.items():
        source = house.text(house.NATIVE / "include" / "faster" / header)
        stated = re.search(rf"\b{number} = (\d+)", source)
        assert stated, f"{header} does not state {number}"
        code = " ".join(house.c_code(source).split())
        digest = hashlib.sha256(code.encode()).hexdigest()[:32]
        lines.append(f"{number} {stated[1]} {digest}")
    return "\n".join(lines) + "\n"


def records() -> dict[Path, str]:
    """Give each derived file with what it should hold."""
    derived = {package / "api.txt": api(package) for package in house.PACKAGES}
    derived[house.ROOT / "docs" / "errors.md"] = errors_page()
    derived[house.ROOT / "integration-tests" / "data" / "abi.txt"] = abi()
    return derived


if __name__ == "__main__":
    for path, content in records().items():
        path.write_text(content, encoding="utf-8")
        print(house.name(path))
