"""Measures a realistic application in the project's way against the tutorial's: cold start, warm request, size.

Both are made of benchmarks/apps/realistic; README.md says what differs.
"""

import argparse
from statistics import median

import cold_start
import warm_request
from functions import machine, make_realistic, ratio, unzipped_mib, write, zipped_mib

from tests.machine import interpreter

# An order has lines, an address, a payment and totals: ten of the models; its endpoint has three dependencies.
PATH = "/orders/1"
TARGETS = {"init+first": 0.45}


def main() -> None:
    """Measure, print the ratios, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--runtime", default="python3.13")
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    python = interpreter(options.runtime)
    functions = project, tutorial = make_realistic(options.runtime)
    figures = cold_start.measure(functions, python, options.rounds, PATH)
    tasks = {project.name: project.task, tutorial.name: tutorial.task.parent.parent / "tutorial code"}
    warm = warm_request.measure(python, project, tasks, PATH)
    ratios = {of: ratio(values, figures[tutorial.name][of]) for of, values in figures[project.name].items()}
    ratios["warm request"] = ratio(warm[project.name], warm[tutorial.name])
    medians = cold_start.medians_of(figures)
    for function in functions:
        of = medians[function.name]
        of["warm request"] = round(median(warm[function.name]), 1)
        of["zipped MiB"] = zipped_mib(function.task, function.layer)
        of["unzipped MiB"] = unzipped_mib(function.task, function.layer)
        print(f"{function.name}: {of}")
    for of, (middle, low, high) in ratios.items():
        print(f"{of}: {middle} ({low} to {high}){f', target {TARGETS[of]}' if of in TARGETS else ''}")
    write(
        "realistic",
        {"machine": machine(options.runtime), "rounds": options.rounds, "ratios": ratios} | {"medians": medians},
    )


if __name__ == "__main__":
    main()
