"""python -m benchmarks NAME [--json] [--rounds N]: the last line is one JSON object with --json, a table without."""

import argparse
import importlib
import json
import sys

from benchmarks.figures import Missing, Result, table

NAMES = ("endpoint", "call", "events", "start", "render", "image", "telemetry", "collector", "dashboard")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("name", choices=[*NAMES, "all"])
    parser.add_argument("--json", action="store_true", help="end with one JSON object a benchmark")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each contender, alternating (5)")
    options = parser.parse_args(arguments)
    if not 1 <= options.rounds <= 50:
        parser.error("--rounds: between 1 and 50")
    left_out: list[str] = []
    for name in NAMES if options.name == "all" else (options.name,):
        module = importlib.import_module(f"benchmarks.{name}")
        try:
            result: Result = module.run(options.rounds)
        except Missing as missing:
            print(f"{name} is left out: {missing}", file=sys.stderr)
            left_out.append(name)
            continue
        print(table(result), file=sys.stderr if options.json else sys.stdout)
        if options.json:
            print(json.dumps(result.as_data()))
    # Of all of them, those that can be measured here are enough.
    return 1 if left_out and options.name != "all" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
