"""Which code a component is: a hash of the package or module that it is loaded from.

Keys hold an entry's version, which its author may forget to raise. The hash lies beside what the code made, so that
results of other code are told from results of this code.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from pathlib import Path

from dyadbench.registry.load import OWN_DISTRIBUTION


def source_hash(module: str) -> str:
    """sha256 over the Python files of the top-level package or module that `module` lies in.

    Comments, docstrings and layout do not count. "" where there is no source to read, and for dyadbench itself, whose
    parts have versions that its own tests guard.
    """
    top = module.partition(".")[0]
    if top == OWN_DISTRIBUTION:
        return ""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return ""
    if spec is None:
        return ""
    places = [Path(place) for place in spec.submodule_search_locations or ([spec.origin] if spec.origin else [])]
    sums = hashlib.sha256()
    for place in places:
        files = [place] if place.is_file() else sorted(f for f in place.rglob("*.py") if not f.name.startswith("."))
        for file in files:
            sums.update(f"{file.relative_to(place.parent)}\n{_code(file)}\n".encode(errors="surrogatepass"))
    return sums.hexdigest() if places else ""


def _code(file: Path) -> str:
    """What the file does, without what it says about it; its bytes where it cannot be parsed."""
    data = file.read_bytes()
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError):
        return hashlib.sha256(data).hexdigest()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
