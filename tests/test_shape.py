"""The limits of the house style, held for every file; an exception is a line here with its reason."""

import functools
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests import shape
from tests.shape import Finding, Rule, Source

ROOT = Path(__file__).parents[1]

# (rule, what the finding names): why it may be so.
EXCEPTIONS: Mapping[tuple[str, str], str] = {
    ("size_of_module", "src/atoll/errors.py"): (
        "a table with a row for each error that a user can meet: it is looked up, and never read through"
    ),
    ("reads_the_environment", "src/atoll/runtime/describe.py"): (
        "an entry of its own, like __main__.py: the child that reads user code hands its environment to main()"
    ),
    ("number_of_parameters", "src/atoll/runtime/telemetry/traces.py:record"): (
        "it is called for every span: making a value of its nine facts would cost more than recording them"
    ),
    ("number_of_parameters", "examples/shop/shop/frontend/app.py:create"): (
        "a factory names each service that it calls by a parameter, and pages show something of nearly all of them"
    ),
    ("reads_the_environment", "src/atoll/collector/__main__.py"): (
        "an entry of its own: in a cluster the API server's address is told to every pod in its environment"
    ),
    ("reads_the_environment", "src/atoll/runtime/forkserver.py"): (
        "a forked process gets its own environment in place of its parent's before it becomes a service"
    ),
    ("reads_the_environment", "src/atoll/testing/fixtures.py"): (
        "pytest calls a fixture without arguments, so nobody else can hand it the shell's variables"
    ),
    ("number_of_parameters", "src/atoll/testing/running.py:running"): (
        "keyword arguments of a user's test, each with a default that is right for most"
    ),
}

# Where each rule holds.
EVERYWHERE = ("src", "examples", "benchmarks", "tests")
RULES: Mapping[Rule, tuple[str, ...]] = {
    shape.size_of_module: EVERYWHERE,
    shape.size_of_classes: EVERYWHERE,
    shape.size_of_functions: EVERYWHERE,
    shape.number_of_parameters: EVERYWHERE,
    shape.ignores_without_a_code: EVERYWHERE,
    shape.own_imports_in_functions: ("src",),
    shape.own_imports_for_types_only: ("src",),
    shape.reads_the_environment: ("src",),
    shape.state_of_modules: ("src",),
    shape.tests_that_cannot_fail: ("tests",),
}
# What a rule itself leaves out, because the house style does.
LEFT_OUT: Mapping[Rule, tuple[str, ...]] = {
    shape.own_imports_in_functions: ("src/atoll/cli/main.py",),  # the command table: a command loads what it needs
    shape.reads_the_environment: ("src/atoll/cli/", "src/atoll/runtime/__main__.py", "src/atoll/dashboard/__main__.py"),
}


@functools.cache
def sources(*folders: str) -> tuple[Source, ...]:
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if ".atoll" not in path.parts)
    return tuple(Source(path.relative_to(ROOT).as_posix(), path.read_text()) for path in paths)


def findings(rule: Rule) -> Iterator[Finding]:
    for source in sources(*RULES[rule]):
        if not source.path.startswith(LEFT_OUT.get(rule, ("\0",))):
            yield from rule(source)


def holds(rule: str, found: Iterator[Finding]) -> None:
    broken = [str(finding) for finding in found if (rule, finding.name) not in EXCEPTIONS]
    assert not broken, "\n".join([f"{rule}, in {len(broken)} places:", *broken])


def committed_texts() -> Iterator[tuple[str, str]]:
    """Every text file that git knows or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            yield name, content.decode(errors="replace")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rule(rule: Rule) -> None:
    holds(rule.__name__, findings(rule))


def test_no_modules_import_each_other_in_a_circle() -> None:
    holds("import_cycles", shape.import_cycles(sources("src")))


@pytest.mark.needs_program("git")
def test_no_file_names_a_machine_or_a_package_registry() -> None:
    found = (finding for name, text in committed_texts() for finding in shape.leaks(name, text))
    holds("leaks", found)


def test_every_exception_is_still_needed_and_says_why() -> None:
    needed = {(rule.__name__, finding.name) for rule in RULES for finding in findings(rule)}
    needed |= {("import_cycles", finding.name) for finding in shape.import_cycles(sources("src"))}
    if shutil.which("git"):
        needed |= {("leaks", found.name) for name, text in committed_texts() for found in shape.leaks(name, text)}
    assert not EXCEPTIONS.keys() - needed
    assert all(len(reason.split()) > 3 for reason in EXCEPTIONS.values())


# Each rule finds what it is for, and nothing in its harmless twin: (rule, harmless, bad).
SAMPLES: list[tuple[Rule, str, str]] = [
    (shape.size_of_module, "a = 1\n" * 500, "a = 1\n" * 501),
    (shape.size_of_classes, "class A:\n" + "    a = 1\n" * 299, "class A:\n" + "    a = 1\n" * 300),
    (
        shape.size_of_functions,
        'def f():\n    """One.\n\n    Two.\n    """\n' + "    a = 1\n" * 59,
        "async def f():\n" + "    a = 1\n" * 60,
    ),
    (
        shape.number_of_parameters,
        "def f(self, a, b, c, d, /, e, f, *, g, h): ...",
        "def f(a, b, c, d, /, e, *args, f, g, **kwargs): ...",
    ),
    (
        shape.own_imports_in_functions,
        "import atoll\ndef f():\n    import json",
        "def f():\n    from atoll import model",
    ),
    (shape.own_imports_in_functions, "from . import a", "class A:\n    def f(self):\n        from . import a"),
    (
        shape.own_imports_for_types_only,
        "if TYPE_CHECKING:\n    from _typeshed import X",
        "import typing\nif typing.TYPE_CHECKING:\n    from atoll.model.contract import Contract",
    ),
    (shape.reads_the_environment, "environ = {}\nos.path", "import os\nos.environ['A']"),
    (shape.reads_the_environment, "from os import path", "from os import environ as e"),
    (shape.reads_the_environment, "config.getenv('A')", "import os\nos.getenv('A')"),
    (shape.state_of_modules, "A: Mapping[str, int] = {}\n__all__ = ['A']", "A = {}"),
    (shape.state_of_modules, "A: Final[Sequence[int]] = [1]", "A: Final[list[int]] = [1]"),
    (shape.state_of_modules, "A = frozenset({1})", "A = collections.deque[int](maxlen=1)"),
    (shape.state_of_modules, "class A:\n    b: list[int] = []\n    __slots__ = ['b']", "class A:\n    b = []"),
    (shape.state_of_modules, "class A:\n    b: ClassVar[Set[int]] = {1}", "class A:\n    b: ClassVar[set[int]] = {1}"),
    (shape.state_of_modules, "def f():\n    a = []", "def f():\n    global a\n    a = 1"),
    (shape.state_of_modules, "@wraps\ndef f(): ...", "@functools.lru_cache(maxsize=1)\ndef f(): ..."),
    (shape.ignores_without_a_code, "a = 1  # type: ignore[misc]", "a = 1  # type: ignore"),
    (shape.ignores_without_a_code, "a = '# noqa'  # noqa: E501", "a = 1  # noqa"),
    (shape.ignores_without_a_code, "a = 1  # pyright: ignore[reportX]", "a = 1  # pyright: ignore"),
    (shape.tests_that_cannot_fail, "def test_a():\n    assert a", "def test_a():\n    a()"),
    (
        shape.tests_that_cannot_fail,
        "def test_a():\n    with pytest.raises(E):\n        a()",
        "def test_a():\n    assert True",
    ),
    (shape.tests_that_cannot_fail, "def test_a():\n    until(lambda: a)", "def test_a():\n    if a:\n        a()"),
    (
        shape.tests_that_cannot_fail,
        "def holds(a):\n    assert a\nasync def test_a():\n    holds(1)",
        "def holds(a):\n    return a\nasync def test_a():\n    holds(1)",
    ),
]


@pytest.mark.parametrize(("rule", "harmless", "bad"), SAMPLES)
def test_a_rule_finds_the_bad_sample_and_not_its_harmless_twin(rule: Rule, harmless: str, bad: str) -> None:
    assert not list(rule(Source("src/atoll/sample.py", harmless)))
    assert [finding for finding in rule(Source("src/atoll/sample.py", bad)) if finding.name.startswith("src/atoll/")]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_has_a_sample_and_files_to_hold_for(rule: Callable[[Source], Iterator[Finding]]) -> None:
    assert rule in {sampled for sampled, _, _ in SAMPLES}
    assert sources(*RULES[rule])


def test_an_import_cycle_is_found_once_whatever_the_form_of_its_imports() -> None:
    a = Source("src/atoll/a/__init__.py", "from atoll.b import c")
    b = Source("src/atoll/b/__init__.py", "")
    c = Source("src/atoll/b/c.py", "from ..d import name")
    d = Source("src/atoll/d.py", "import atoll.a")
    assert [finding.message for finding in shape.import_cycles([a, b, c, d])] == [
        "an import cycle: atoll.a > atoll.b.c > atoll.d > atoll.a"
    ]
    assert not list(shape.import_cycles([a, b, c]))


# Put together here, so that this file itself is in order.
@pytest.mark.parametrize(
    "line",
    [
        "see https://" + "pypi" + ".org/project/x",
        "cd /" + "work/main",
        "cp x /" + "root/.config",
        "--find-" + "links=y",
        "--extra-index" + "-url z",
        "/" + "home/ann/atoll",
    ],
)
def test_a_line_that_names_a_machine_or_a_registry_is_found(line: str) -> None:
    assert [finding.line for finding in shape.leaks("a.txt", f"fine\n{line}\n")] == [2]


@pytest.mark.parametrize(
    "line",
    ["./work/main", "$HOME/root/x", "https://example.org/roots", "GET /workers", "/homes/1", "a.rootless /rooted"],
)
def test_an_ordinary_path_is_no_leak(line: str) -> None:
    assert not list(shape.leaks("a.txt", line))
