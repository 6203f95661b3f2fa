"""Measures a warm request in one process: the project's handler against plain FastAPI under Mangum.

One process of the runtime's Python holds all of them and calls them in turn, in blocks, in an order drawn anew.
"""

import argparse
import json
import subprocess
from pathlib import Path
from statistics import median

from functions import Function, app, machine, make_functions, ratio, write

from tests.events import http_api
from tests.machine import interpreter

CODE = """
import importlib.util, json, logging, random, sys, time
sys.path.insert(0, sys.argv[1])
event, rounds, calls = json.loads(sys.argv[3]), 61, 200
logging.getLogger("mangum").setLevel(logging.WARNING)
logging.getLogger("mangum.http").setLevel(logging.WARNING)
handlers = {}
for name, folder in json.loads(sys.argv[2]).items():
    sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name.replace(" ", "_"), folder + "/main.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(folder)
    # Each has modules of its own, whose names may be the same.
    for name_of, loaded in list(sys.modules.items()):
        if (getattr(loaded, "__file__", None) or "").startswith(folder + "/"):
            del sys.modules[name_of]
    handlers[name] = module.handler
    if name == "this project":
        import mangum
        handlers["this application under plain Mangum"] = mangum.Mangum(module.app, lifespan="off")
class Context:
    aws_request_id = "52fdfc07-2182-154f-163f-5f0f9a621d72"
    def get_remaining_time_in_millis(self):
        return 28000
figures = {name: [] for name in handlers}
for round_ in range(-1, rounds):
    for name in random.sample(list(handlers), len(handlers)):
        handler = handlers[name]
        start = time.perf_counter()
        for _ in range(calls):
            answer = handler(event, Context())
        if round_ >= 0:
            figures[name].append((time.perf_counter() - start) / calls * 1e6)
        assert answer["statusCode"] == 200, answer
print(json.dumps(figures))
"""

TARGETS = {
    "plain async FastAPI, lifespan off": 1.15,
    "the tutorial's FastAPI": 0.2,
    "this application under plain Mangum": 1.25,
}


def measure(python: Path, project: Function, tasks: dict[str, Path], path: str) -> dict[str, list[float]]:
    """Send requests of a path to the handlers in folders, and return what one took, by name: microseconds."""
    folders = json.dumps({name: str(task) for name, task in tasks.items()})
    command = [python, "-S", "-c", CODE, str(project.layer / "python"), folders, json.dumps(http_api(path))]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Measure, print a table, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--runtime", default="python3.13")
    options = parser.parse_args()
    project = make_functions(options.runtime)[0]
    folder = project.task.parent.parent
    tasks = {
        "this project": project.task,
        "plain async FastAPI, lifespan off": app("plain_async", folder),
        "the tutorial's FastAPI": folder / "task tutorial",
    }
    figures = measure(interpreter(options.runtime), project, tasks, "/")
    print("| | microseconds a request | x this project |\n|---|---|---|")
    for name, values in figures.items():
        print(f"| {name} | {median(values):.0f} | {ratio(values, figures['this project'])[0]:.2f} |")
    print()
    ratios = {name: ratio(figures["this project"], figures[name]) for name in TARGETS}
    for name, (middle, low, high) in ratios.items():
        print(f"against {name}: {middle} ({low} to {high}), target {TARGETS[name]}")
    medians = {name: round(median(values), 1) for name, values in figures.items()}
    write("warm_request", {"machine": machine(options.runtime), "ratios": ratios, "median microseconds": medians})


if __name__ == "__main__":
    main()
