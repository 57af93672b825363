"""python -m benchmarks NAME [--json] [--rounds N]: the last line is one JSON object with --json, a table without."""

import argparse
import importlib
import json
import sys

from benchmarks.figures import Result, table

NAMES = ("endpoint", "call", "events", "start")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("name", choices=[*NAMES, "all"])
    parser.add_argument("--json", action="store_true", help="end with one JSON object a benchmark")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each contender, alternating (5)")
    options = parser.parse_args(arguments)
    if not 1 <= options.rounds <= 50:
        parser.error("--rounds: between 1 and 50")
    for name in NAMES if options.name == "all" else (options.name,):
        module = importlib.import_module(f"benchmarks.{name}")
        result: Result = module.run(options.rounds)
        print(table(result), file=sys.stderr if options.json else sys.stdout)
        if options.json:
            print(json.dumps(result.as_data()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
