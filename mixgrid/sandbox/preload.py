"""Import what a program will ask for, while Python's files can still be read.

    preload("from collections import Counter\\nimport xml.dom")  ->  collections and xml.dom are in sys.modules

A sealed box opens no file, so that it cannot even see which ones exist. Only modules of the standard library are
imported, by their names in the program's syntax tree; nothing of the program runs.
"""

from __future__ import annotations

import codecs
import importlib
import re
import sys
from collections.abc import Iterator
from encodings.aliases import aliases

TYPE_CHECKING = False
if TYPE_CHECKING:  # the module typing takes longer to load than all else here
    from typing import Any

# What the standard library imports only when it is called, by a word that such a call needs.
_LAZY = {
    "most_common": ("heapq",),
    "User": ("copy",),
    "singledispatch": ("types", "typing", "weakref"),
    "strptime": ("_strptime",),
    "warn": ("warnings", "linecache", "traceback"),
    "traceback": ("linecache", "unicodedata"),
    "idna": ("encodings.idna",),
    "unicode_escape": ("unicodedata",),
    "urllib": ("unicodedata",),
    "statistics": ("heapq",),
    "uuid": ("hashlib",),
}
# These do something when imported, or are no use to a program.
_NEVER = (
    "antigravity",
    "this",
    "idlelib",
    "turtle",
    "turtledemo",
    "tkinter",
    "lib2to3",
    "ensurepip",
    "venv",
    "__main__",
)
_DYNAMIC = re.compile(r"(?:__import__|import_module)\s*\(\s*[\"']([\w.]{1,80})[\"']")
_ONLY_PARSE = 0x400  # ast.PyCF_ONLY_AST; the module ast is slow to load


def preload(program: str) -> None:
    """Import the standard modules and look up the encodings that the program names. Raises what its syntax raises."""
    tree = compile(program, "<program>", "exec", flags=_ONLY_PARSE, dont_inherit=True)
    wanted = dict[str, None]()
    for node in _walk(tree):
        wanted.update(dict.fromkeys(_named(node)))
    for sign, modules in _LAZY.items():
        if sign in program:
            wanted.update(dict.fromkeys(modules))
    wanted.update(dict.fromkeys(_DYNAMIC.findall(program)))
    for name in wanted:
        _import(name)


def _walk(tree: Any) -> Iterator[Any]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for field in node._fields:
            value = getattr(node, field, None)
            waiting += [part for part in (value if isinstance(value, list) else [value]) if hasattr(part, "_fields")]


def _named(node: Any) -> Iterator[str]:
    kind = type(node).__name__
    if kind == "Import":
        yield from (alias.name for alias in node.names)
    elif kind == "ImportFrom" and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif kind == "Constant" and isinstance(node.value, str) and len(node.value) < 20:
        _look_up_encoding(node.value)


def _look_up_encoding(name: str) -> None:
    plain = name.lower().replace("-", "_")
    if plain in aliases or plain in aliases.values():
        codecs.lookup(plain)


def _import(name: str) -> None:
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names and top not in _NEVER:
        try:
            importlib.import_module(name)
        except (ImportError, OSError, ValueError, AttributeError):
            return  # a name in a module, or a module that this Python lacks: the program will see for itself
