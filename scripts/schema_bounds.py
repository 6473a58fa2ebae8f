"""What schemas that are made to be expensive cost: planned and compiled, each in a process of its own.

A process has CPU_SECONDS and ADDRESS_BYTES, which the kernel keeps; it ends with a plan or with a typed error.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

CPU_SECONDS = 60
ADDRESS_BYTES = 4 * 1024**3  # of address space, of which the libraries alone take a good part


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def chain(length: int) -> dict[str, Any]:
    """Definitions that refer to one another in a circle, each with the next two."""
    names = {f"d{number}": f"d{(number + 1) % length}" for number in range(length)}
    definitions = {
        name: {"type": "object", "properties": {"a": {"$ref": f"#/$defs/{after}"}, "b": {"$ref": f"#/$defs/{after}"}}}
        for name, after in names.items()
    }
    return {"$ref": "#/$defs/d0", "$defs": definitions}


def text(**limits: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {"type": "string", **limits}}, "required": ["a"]}


def product(width: int) -> dict[str, Any]:
    """2 to the power of ``width`` alternatives, written short."""
    choices = [
        {"anyOf": [{"properties": {f"k{i}": {"const": value}}, "required": [f"k{i}"]} for value in (0, 1)]}
        for i in range(width)
    ]
    return {"type": "object", "allOf": choices}


TREE = {"type": "object", "properties": {"value": {"type": "string"}, "children": {"items": {"$ref": "#"}}}}
MANY = {f"property_{number}": {"type": ["string", "number"][number % 2]} for number in range(5000)}
CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "a tree": lambda: TREE,
    "300 definitions in a circle": lambda: chain(300),
    "5,000 properties": lambda: {"type": "object", "properties": MANY},
    "5,000 required properties": lambda: {"type": "object", "properties": MANY, "required": list(MANY)},
    "an enum of 10,000": lambda: {"type": "object", "properties": {"a": {"enum": [f"v{n}" for n in range(10_000)]}}},
    "nesting 100 deep": lambda: deep(100),
    "nesting 200 deep": lambda: deep(200),
    "nesting 5,000 deep": lambda: deep(5000),
    "maxLength 1,000,000": lambda: text(maxLength=1_000_000),
    "minLength 1,000,000": lambda: text(minLength=1_000_000),
    "maxItems 1,000,000": lambda: {"type": "array", "items": {"type": "integer"}, "maxItems": 1_000_000},
    "minItems 100,000": lambda: {"type": "array", "items": {"type": "integer"}, "minItems": 100_000},
    "2^40 alternatives": lambda: product(40),
    "a disjunction of 2^16 sets of keys": lambda: {
        "type": "object",
        "properties": {f"k{n}": {"type": "string"} for n in range(32)},
        "allOf": [{"anyOf": [{"required": [f"k{n}"]}, {"required": [f"k{n + 1}"]}]} for n in range(0, 32, 2)],
    },
    "(a+)+": lambda: text(pattern="^(a+)+$"),
    "(a|aa)+": lambda: text(pattern="^(a|aa)+$"),
    "(.*a){30}": lambda: text(pattern="^(.*a){30}$"),
    "(a{1,1000}){1,1000}": lambda: text(pattern="^(a{1,1000}){1,1000}$"),
    "[01]*1[01]{20}": lambda: text(pattern="^[01]*1[01]{20}$"),
    "a lookahead that backtracks": lambda: text(pattern="^(?=(a+)+b)(a+)+$"),
}


def settle(name: str) -> str:
    """Plan and compile a case in this process: what became of it."""
    from llguidance import LLTokenizer

    from local_retab.engine.constraint import Constraint
    from local_retab.errors import LocalRetabError
    from local_retab.schema import load_schema, plan_schema
    from local_retab.settings import Settings

    settings = Settings()
    try:
        plan = plan_schema(load_schema(CASES[name](), settings=settings), settings=settings)
        Constraint.compile(plan.grammar, LLTokenizer("byte"))
    except LocalRetabError as error:
        return type(error).__name__
    return "planned"


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(name: str) -> subprocess.CompletedProcess[str]:
    """A case in a process under the limits; its outcome is the last line."""
    return subprocess.run(
        [sys.executable, __file__, "--case", name], capture_output=True, text=True, check=False, preexec_fn=_limit
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--case", choices=CASES, help="settle one case in this process and print what became of it")
    arguments = parser.parse_args()
    if arguments.case:
        started = time.process_time()
        outcome = settle(arguments.case)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform == "linux" else 1)
        print(f"{time.process_time() - started:6.2f} s  {peak >> 20:5} MiB")
        print(outcome)
        return
    for name in CASES:
        found = run(name)
        cost, outcome = found.stdout.splitlines() if found.returncode == 0 else ("", f"status {found.returncode}")
        print(f"{name:40} {cost:24} {outcome}", flush=True)


if __name__ == "__main__":
    main()
