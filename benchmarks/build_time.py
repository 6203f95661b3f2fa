"""Measures `build.py layer` against plain pip installing the same packages, both with warm caches.

The project's time includes bytecode and pruning. Commands run in turn.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from functions import machine, make_functions, ratio, write

from tests.machine import BIN, interpreter

# uv on PATH, as its installer leaves it.
ENVIRONMENT = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def seconds(*command: str | Path, cwd: Path) -> float:
    """Return how long a command takes."""
    start = time.perf_counter()
    subprocess.run(command, cwd=cwd, env=ENVIRONMENT, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure, print a table, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--runtime", default="python3.13")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    python = interpreter(options.runtime)
    project = make_functions(options.runtime)[0].task.parent.parent / "orders-api"
    target = project.parent / "pip"
    lock = project / "app" / "requirements.txt"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", target, "-r", lock]
    figures: dict[str, list[float]] = {
        "build.py layer": [],
        "pip install --target": [],
        "build.py layer, no change": [],
    }
    for round_ in range(-1, options.rounds):
        shutil.rmtree(target, ignore_errors=True)
        shutil.rmtree(project / "package" / "python")
        measured = {
            "build.py layer": seconds(sys.executable, "scripts/build.py", "layer", cwd=project),
            "pip install --target": seconds(*pip, cwd=project),
            "build.py layer, no change": seconds(sys.executable, "scripts/build.py", "layer", cwd=project),
        }
        for name, value in measured.items():
            if round_ >= 0:
                figures[name].append(value)
    print("| | seconds | x pip |\n|---|---|---|")
    against = figures["pip install --target"]
    ratios = {name: ratio(values, against) for name, values in figures.items()}
    for name, values in figures.items():
        print(f"| {name} | {median(values):.2f} | {ratios[name][0]:.2f} |")
    print("\ntargets: build.py layer 0.3 x pip, without a change 0.3 seconds")
    medians = {name: round(median(values), 3) for name, values in figures.items()}
    write("build_time", {"machine": machine(options.runtime), "ratios": ratios, "median seconds": medians})


if __name__ == "__main__":
    main()
