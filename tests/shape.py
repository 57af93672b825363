"""The rules of the house's shape: plain functions from source text to findings."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import TypeGuard

MODULE_LINES, CLASS_LINES, FUNCTION_LINES, PARAMETERS = 500, 300, 60, 8

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Source:
    """One Python file. path: relative to the repository, with forward slashes."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        """src/atoll/model/check.py is atoll.model.check; a package is its folder."""
        parts = PurePosixPath(self.path).with_suffix("").parts
        parts = parts[1:] if parts[0] == "src" else parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@dataclass(frozen=True)
class Finding:
    """A rule that does not hold. name: what an exception is made for, such as `path` or `path:function`."""

    name: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.name} (line {self.line}): {self.message}"


Rule = Callable[[Source], Iterator[Finding]]


def size_of_module(source: Source) -> Iterator[Finding]:
    lines = len(source.text.splitlines())
    if lines > MODULE_LINES:
        yield Finding(source.path, lines, f"{lines} lines, at most {MODULE_LINES}")


def size_of_classes(source: Source) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef) and (lines := _lines(node)) > CLASS_LINES:
            yield Finding(f"{source.path}:{node.name}", node.lineno, f"{lines} lines, at most {CLASS_LINES}")


def size_of_functions(source: Source) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        if isinstance(node, FUNCTIONS):
            lines = _lines(node) - (_lines(node.body[0]) if ast.get_docstring(node, clean=False) is not None else 0)
            if lines > FUNCTION_LINES:
                message = f"{lines} lines without its docstring, at most {FUNCTION_LINES}"
                yield Finding(f"{source.path}:{node.name}", node.lineno, message)


def number_of_parameters(source: Source) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        if isinstance(node, FUNCTIONS):
            arguments = node.args
            names = [argument.arg for argument in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
            names += [argument.arg for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
            count = len(names) - (names[:1] in (["self"], ["cls"]))
            if count > PARAMETERS:
                yield Finding(f"{source.path}:{node.name}", node.lineno, f"{count} parameters, at most {PARAMETERS}")


def own_imports_in_functions(source: Source) -> Iterator[Finding]:
    functions = (node for node in ast.walk(source.tree) if isinstance(node, FUNCTIONS))
    for node in _distinct(inner for function in functions for inner in ast.walk(function)):
        if _imports_own(node):
            yield Finding(source.path, node.lineno, "an import of our own inside a function")


def own_imports_for_types_only(source: Source) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for inner in ast.walk(node):
                if _imports_own(inner):
                    yield Finding(source.path, inner.lineno, "an import of our own under TYPE_CHECKING")


def reads_the_environment(source: Source) -> Iterator[Finding]:
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    for node in ast.walk(source.tree):
        of_os = isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value) == "os"
        from_os = isinstance(node, ast.ImportFrom) and node.module == "os" and names & {a.name for a in node.names}
        if isinstance(node, ast.Attribute | ast.ImportFrom) and (of_os or from_os):
            yield Finding(source.path, node.lineno, "the environment is read in cli/ and runtime/__main__.py only")


def state_of_modules(source: Source) -> Iterator[Finding]:
    """Displays and constructors of mutable containers, caches and `global`, as far as the text shows it.

    A table is fine when annotated with a type that has no way to change it: mypy then holds everybody to that.
    """
    tree = source.tree
    classes = [statement for statement in tree.body if isinstance(statement, ast.ClassDef)]
    for statement in [*tree.body, *(inner for cls in classes for inner in cls.body)]:
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        if value is None or not _is_mutable(value) or _targets(statement) & {"__all__", "__slots__", "__match_args__"}:
            continue
        if not (isinstance(statement, ast.AnnAssign) and _is_fixed(statement.annotation, statement in tree.body)):
            message = "state of a module: annotate a table as Mapping, Sequence or frozenset; pass anything else in"
            yield Finding(f"{source.path}:{' '.join(sorted(_targets(statement)))}", statement.lineno, message)
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield Finding(f"{source.path}:{' '.join(node.names)}", node.lineno, "state of a module: `global`")
        if isinstance(node, FUNCTIONS) and any(_is_cache(decorator) for decorator in node.decorator_list):
            yield Finding(f"{source.path}:{node.name}", node.lineno, "state of a module: a cache that nobody owns")


def ignores_without_a_code(source: Source) -> Iterator[Finding]:
    bare = re.compile(r"#\s*(type:\s*ignore(?!\[)|(based)?pyright:\s*ignore(?!\[)|noqa(?!:\s*[A-Z])|ruff:\s*noqa(?!:))")
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT and bare.search(token.string):
            yield Finding(source.path, token.start[0], "an ignore that does not say which rule")


def tests_that_cannot_fail(source: Source) -> Iterator[Finding]:
    """A test fails by assert, by pytest.raises and its like, by a bounded wait, or through a function of its file."""
    tree = source.tree
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)}
    able: set[str] = set()
    while found := {name for name, node in functions.items() if name not in able and _can_fail(node, able)}:
        able |= found
    for name, node in functions.items():
        if name.startswith("test_") and name not in able:
            yield Finding(f"{source.path}:{name}", node.lineno, "a test that cannot fail")


def import_cycles(sources: Iterable[Source]) -> Iterator[Finding]:
    """Modules that need each other to be imported, each cycle once."""
    modules = {source.module: source for source in sources}
    graph = {name: sorted(set(_imported(source, modules.keys())) - {name}) for name, source in modules.items()}
    for start in sorted(graph):
        cycle = _way_back(graph, start)
        if cycle and start == min(cycle):
            yield Finding(modules[start].path, 1, "an import cycle: " + " > ".join([*cycle, start]))


def leaks(path: str, text: str) -> Iterator[Finding]:
    """What ties a file to one machine or one package index."""
    for number, line in enumerate(text.splitlines(), 1):
        for what, pattern in LEAKS.items():
            if pattern.search(line):
                yield Finding(path, number, f"{what}: {line.strip()[:100]}")


LEAKS: Mapping[str, re.Pattern[str]] = {
    "the host of a package registry": re.compile(
        r"\b(pypi\.org|pythonhosted\.org|registry\.npmjs\.org|crates\.io|proxy\.golang\.org|sum\.golang\.org"
        r"|repo1?\.maven(\.apache)?\.org|deb\.debian\.org|registry-1\.docker\.io)\b"
    ),
    "the address of a package index": re.compile(
        r"--(extra-)?index[-]url|--find[-]links(?!=/wheels )|\bGO[P]ROXY\b|\"resolved[\"]:"
    ),
    "a path of one machine": re.compile(r"(?<![\w.$}~-])/((root|work|farm|opt/wheels)/|Users/\w|home/(?!nonroot)\w)"),
}

_MUTABLE = frozenset({
    *("list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict", "ChainMap"),
    *("WeakKeyDictionary", "WeakValueDictionary", "WeakSet", "Queue", "Lock", "Event", "Semaphore"),
})  # fmt: skip
_FIXED = re.compile(
    r"^(Final\[)?(collections\.abc\.|typing\.)?(Mapping|Sequence|Collection|Iterable|Set|tuple|frozenset)\b"
)
_ASSERTIONS = re.compile(
    r"^(assert_?|expect|fail$|raises$|warns$|deprecated_call$|check_|validate|until|eventually$|timeout$|wait_for$)"
)


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _distinct(nodes: Iterable[ast.AST]) -> list[ast.AST]:
    return list({id(node): node for node in nodes}.values())


def _imports_own(node: ast.AST) -> TypeGuard[ast.Import | ast.ImportFrom]:
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or (node.module or "").partition(".")[0] == "atoll"
    return isinstance(node, ast.Import) and any(alias.name.partition(".")[0] == "atoll" for alias in node.names)


def _targets(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.Assign):
        return {ast.unparse(target) for target in statement.targets}
    return {ast.unparse(statement.target)} if isinstance(statement, ast.AnnAssign) else set()


def _called(node: ast.AST) -> str:
    """The last name of what is called: `deque` of collections.deque[int](...)."""
    function = node.func if isinstance(node, ast.Call) else node
    function = function.value if isinstance(function, ast.Subscript) else function
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_mutable(value: ast.expr) -> bool:
    displays = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    return isinstance(value, displays) or (isinstance(value, ast.Call) and _called(value) in _MUTABLE)


def _is_fixed(annotation: ast.expr, of_module: bool) -> bool:
    """In a class body an annotation that is no ClassVar declares a field, whose default each instance copies."""
    text = ast.unparse(annotation).strip("'\"")
    if not of_module and "ClassVar" not in text:
        return True
    return bool(_FIXED.match(re.sub(r"^(typing\.)?ClassVar\[", "", text)))


def _is_cache(decorator: ast.expr) -> bool:
    return _called(decorator) in {"cache", "lru_cache"}


def _can_fail(function: Function, able: set[str]) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant):
            return True
        if isinstance(node, ast.Raise):
            return True
        if isinstance(node, ast.Call) and (_called(node) in able or _ASSERTIONS.match(_called(node))):
            return True
    return False


def _imported(source: Source, modules: Iterable[str]) -> Iterator[str]:
    """The modules of ours that importing this one imports, at its top level; `from package import module` too."""
    known = set(modules)
    package = source.module if source.path.endswith("__init__.py") else source.module.rpartition(".")[0]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        if isinstance(node, ast.ImportFrom):
            ancestors = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*ancestors, *([node.module] if node.module else [])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                if name in known or base in known:
                    yield name if name in known else base


def _way_back(graph: Mapping[str, list[str]], start: str) -> list[str]:
    """The shortest way from a module to itself; empty if there is none."""
    ways = [[start]]
    seen = {start}
    for way in ways:
        for following in graph[way[-1]]:
            if following == start:
                return way
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []
