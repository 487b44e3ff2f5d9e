"""`python -m benchmarks NAME [--SIZE N | --growth N,N,N] [--json]`

Each benchmark is a module of this folder with `SIZE` (its size's name and usual value) and `measure(size, options)`.
With --json the last line of the output is one object. The exit code is 1 if a check of the run is false.
"""

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import benchmarks
from benchmarks import result, stage

_PARTS = {"__main__", "result", "stage", "tests"}


def names() -> list[str]:
    found = {module.name for module in pkgutil.iter_modules(benchmarks.__path__)} - _PARTS
    return sorted(name for name in found if not name.startswith("_"))


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, add_help=False)
    chosen.add_argument("name", choices=names(), nargs="?")
    name = chosen.parse_known_args(given)[0].name
    if name is None:
        print(__doc__, "\n  ".join(["Benchmarks:", *names()]), sep="\n")
        return 0
    if not stage.on_stage():
        return stage.raise_curtain(given)
    with stage.database():
        module = importlib.import_module(f"benchmarks.{name}")  # needs Django, which needs the database
        return _measure(name, module, _parser(name, module).parse_args(given))


def _parser(name: str, module: Any) -> argparse.ArgumentParser:
    size_name, usual = module.SIZE
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=module.__doc__)
    parser.add_argument("name", choices=[name])
    parser.add_argument(f"--{size_name}", dest="size", type=_count, default=usual, help=f"usually {usual:,}")
    parser.add_argument("--growth", type=_counts, default=(), help="several sizes, to print the exponent of growth")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    if hasattr(module, "options"):
        module.options(parser)
    return parser


def _measure(name: str, module: Any, options: argparse.Namespace) -> int:
    found = [module.measure(size, options) for size in options.growth or (options.size,)]
    last: result.Result = replace(found[-1], exponent=result.exponent(found))
    _show(name, last)
    if options.json:
        print(json.dumps(result.as_json(name, last)), flush=True)
    return 0 if all(ok for one in found for ok in one.checks.values()) else 1


def _show(name: str, found: result.Result) -> None:
    print(f"\n{name}, {found.size:,}")
    for label, rate in (("ours", found.ours), ("floor", found.floor), *found.peers.items()):
        print(f"  {label:<28} {rate:14,.1f} {found.unit}   {found.ours / rate if rate else 0:6.2f} x")
    for label, value in found.extra.items():
        print(f"  {label:<28} {value:>14}")
    if found.exponent is not None:
        print(f"  {'growth exponent':<28} {found.exponent:14.3f}")
    for label, ok in found.checks.items():
        print(f"  {'ok  ' if ok else 'FAIL'} {label}")


def _count(text: str) -> int:
    value = int(text.replace("_", "").replace(",", ""))
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no size; give a whole number above 0.")
    return value


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_count(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
