"""Measures cold starts under Lambda's Runtime Interface Emulator: init, first and later requests, memory, size.

Each round starts every function once, in an order drawn anew; what counts is the median of the ratios within a round,
so that whatever else the machine does meets all of them alike. Absolute times are those of this machine, not of Lambda.
"""

import argparse
import random
import re
import time
from pathlib import Path
from statistics import median, quantiles

from functions import Function, machine, make_functions, ratio, write, zipped_mib

from tests.emulator import Emulator
from tests.events import http_api
from tests.machine import interpreter

WARM = 5


def start(function: Function, python: Path, path: str) -> dict[str, float]:
    """Start a function, send it requests of a path, and return what it took: milliseconds and MiB."""
    with Emulator(python, function.task, function.layer, function.handler, **function.variables) as emulator:
        for _ in range(1 + WARM):
            answer = emulator.invoke(function.event or http_api(path))
            assert "batchItemFailures" in answer or answer["statusCode"] == 200, answer
        peak = max(map(peak_mib, children(emulator.process.pid)))
        time.sleep(0.02)
        init = emulator.init_ms()
        requests = [float(ms) for ms in re.findall(r"INVOKE RTDONE\(.*?duration: ([\d.]+)ms", emulator.said())]
    emulator.log.unlink()
    first, *later = requests
    return {"init": init, "first": first, "init+first": init + first, "warm": median(later), "memory": peak}


def measure(functions: list[Function], python: Path, rounds: int, path: str) -> dict[str, dict[str, list[float]]]:
    """Start each function once a round, and return what each start took, by the function's name."""
    figures: dict[str, dict[str, list[float]]] = {function.name: {} for function in functions}
    for round_ in range(-1, rounds):
        print(f"\rround {max(round_, 0) + 1} of {rounds} ", end="", flush=True)
        for function in random.sample(functions, len(functions)):
            for name, value in start(function, python, path).items():
                if round_ >= 0:  # the first round only fills the system's caches
                    figures[function.name].setdefault(name, []).append(value)
    print("\n")
    return figures


def medians_of(figures: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    """Return the median of what was measured."""
    return {name: {of: round(median(values), 2) for of, values in of_name.items()} for name, of_name in figures.items()}


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def peak_mib(pid: int) -> float:
    """Return the most memory that a process has had, in MiB."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


TARGETS = {
    ("init+first", "the tutorial's FastAPI"): 0.43,
    ("init+first", "this project, no bytecode, no savings in main.py"): 0.39,
    ("init+first", "importing fastapi and mangum"): 1.02,
    ("init+first", "a bare handler"): 8.2,
    ("first", "the tutorial's FastAPI"): 0.10,
}


def main() -> None:
    """Measure, print a table, and keep the figures and a plot."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--runtime", default="python3.13")
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    functions = make_functions(options.runtime)
    figures = measure(functions, interpreter(options.runtime), options.rounds, "/items/42")
    sizes = {function.name: zipped_mib(function.task, function.layer) for function in functions}
    table(figures, sizes)
    ours = figures["this project"]
    ratios = {f"{of} / {name}": ratio(ours[of], figures[name][of]) for of, name in TARGETS}
    for (of, name), target in TARGETS.items():
        middle, low, high = ratios[f"{of} / {name}"]
        print(f"{of} against {name}: {middle} ({low} to {high}), target {target}")
    medians = medians_of(figures)
    results = {"machine": machine(options.runtime), "rounds": options.rounds, "ratios": ratios, "medians": medians}
    write("cold_start", results | {"zipped MiB": sizes})
    plot(figures)


def table(figures: dict[str, dict[str, list[float]]], sizes: dict[str, float]) -> None:
    """Print medians, the spread of the sum, and the ratio of the sum to the project's."""
    ours = figures["this project"]["init+first"]
    print("| | init ms | first ms | sum ms (quartiles) | x this project | warm ms | memory MiB | zipped MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for name, of in figures.items():
        low, _, high = quantiles(of["init+first"], n=4)
        middle = {key: median(values) for key, values in of.items()}
        sum_ = f"{middle['init+first']:.0f} ({low:.0f}-{high:.0f}) | {ratio(of['init+first'], ours)[0]:.2f}"
        rest = f"{middle['warm']:.2f} | {middle['memory']:.0f} | {sizes[name]:.2f}"
        print(f"| {name} | {middle['init']:.0f} | {middle['first']:.1f} | {sum_} | {rest} |")
    print()


def plot(figures: dict[str, dict[str, list[float]]]) -> None:
    """Draw init and first request of each function as a bar, into cold_start.svg."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "cold start"
    from matplotlib import pyplot

    names = sorted(figures, key=lambda name: median(figures[name]["init+first"]), reverse=True)
    against = median(figures["the tutorial's FastAPI"]["init+first"])
    init = [median(figures[name]["init"]) / against for name in names]
    first = [median(figures[name]["first"]) / against for name in names]
    figure, axes = pyplot.subplots(figsize=(8, 3.2), layout="constrained")
    axes.barh(names, init, color="#4c78a8", label="init")
    axes.barh(names, first, left=init, color="#f58518", label="first request")
    for name, total in zip(names, map(sum, zip(init, first, strict=True)), strict=True):
        axes.text(total, name, f" {total:.2f}", va="center")
    axes.set_xlabel("cold start, in units of the tutorial's")
    axes.set_xlim(right=max(map(sum, zip(init, first, strict=True))) * 1.1)
    axes.legend()
    figure.savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None})
    print("wrote benchmarks/cold_start.svg")


if __name__ == "__main__":
    main()
