"""Measures what a table, a worker and a secret add to the start of the API, and the start of the worker.

Powertools and boto3 are imported by the first request or batch that needs them, and not in init.
"""

import argparse

import cold_start
from functions import machine, make_state, ratio, write

from tests.machine import interpreter

PATH = "/health"
TARGETS = {"the API with all three, to the default's": 1.05, "the worker, to that API": 0.5}


def main() -> None:
    """Measure, print the ratios, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--runtime", default="python3.13")
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    functions = make_state(options.runtime)
    figures = cold_start.measure(functions, interpreter(options.runtime), options.rounds, PATH)
    default, state, worker = (figures[function.name]["init"] for function in functions)
    ratios = dict(zip(TARGETS, (ratio(state, default), ratio(worker, state)), strict=True))
    medians = cold_start.medians_of(figures)
    for name, of in medians.items():
        print(f"{name}: {of}")
    for name, (middle, low, high) in ratios.items():
        print(f"{name}: {middle} ({low} to {high}), target {TARGETS[name]}")
    results = {"machine": machine(options.runtime), "rounds": options.rounds, "ratios": ratios, "medians": medians}
    write("state", results)


if __name__ == "__main__":
    main()
