"""What a lesson writes inline and later imports is the same code: equal syntax trees, docstrings left out."""

import ast
import importlib.util
from pathlib import Path

import pytest

from tools import lesson_format as fmt
from tools.lesson_format import source, tags

SAVED = [
    pytest.param(cell, tag.removeprefix("save:"), id=f"{lesson.slug}-{cell['id']}")
    for lesson in fmt.lessons()
    for cell in lesson.code
    for tag in tags(cell)
    if tag.startswith("save:")
]


def without_docstrings(tree: ast.AST) -> ast.AST:
    """The tree with every docstring taken out (a body that was only a docstring keeps a `pass`)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def definitions(text: str) -> dict[str, str]:
    """Each function, class and constant that a text defines at its top level, with the dump of its tree."""
    found = {}
    for node in without_docstrings(ast.parse(text)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found[node.name] = ast.dump(node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = ast.dump(node)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = ast.dump(node)
    return found


def package_text(module: str) -> str:
    """The source of a module of the package; of a whole package, the sources of its files together."""
    spec = importlib.util.find_spec(module)
    assert spec and spec.origin, f"there is no module {module}"
    path = Path(spec.origin)
    files = sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]
    return "\n".join(file.read_text(encoding="utf-8").replace("from __future__", "from future") for file in files)


@pytest.mark.parametrize(("cell", "module"), SAVED)
def test_inline_equals_package(cell: dict, module: str) -> None:
    inline, package = definitions(source(cell)), definitions(package_text(module))
    assert inline, "a cell tagged save: defines nothing"
    for name, tree in inline.items():
        assert name in package, f"{module} has no {name}"
        assert tree == package[name], f"{name} differs between the lesson and {module}"
