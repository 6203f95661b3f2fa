"""The functions that are compared: each a folder for /var/task and one for /opt, made from locked versions."""

import json
import platform
import re
import shutil
import subprocess
import sys
import zlib
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.machine import ARCHITECTURE, CACHE, UV, interpreter  # noqa: E402

APPS = Path(__file__).resolve().parent / "apps"
REALISTIC = APPS / "realistic"
# What the realistic application needs besides FastAPI and Mangum.
NEEDS = ["jinja2==3.1.6", "pydantic-settings==2.16.3", "python-multipart==0.0.34"]
POWERTOOLS = "aws-lambda-powertools==3.37.0"
QUICKSTART = "requests==2.34.2"


class Function(NamedTuple):
    """One way to write and package a function: its code, its layer, and what to call it."""

    name: str
    task: Path
    layer: Path
    handler: str = "main.handler"
    event: dict[str, Any] | None = None  # instead of a request
    variables: dict[str, str] = {}


def make_functions(runtime: str, folder: Path = CACHE / "bench") -> list[Function]:
    """Build every function anew for a runtime, and return them, the project first."""
    python = needed(runtime)
    project = render(runtime, folder)
    shutil.copy(APPS / "items.py", project / "app" / "items.py")
    unpack(project, folder / "project")
    without = folder / "project without bytecode"
    shutil.copytree(folder / "project", without, ignore=shutil.ignore_patterns("__pycache__"))
    # Without bytecode Pydantic 1 costs most of all, so a build that leaves it out hides a part of what bytecode is for.
    plain = folder / "project without bytecode and savings"
    shutil.copytree(without, plain)
    drop_savings(plain / "function" / "main.py")
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", lock_of(project), re.MULTILINE))
    fastapi = [f"{name}=={pins[name]}" for name in ("fastapi", "mangum")]
    # Plain pip compiles, but no packaging keeps the dates that its bytecode depends on, so Lambda ignores it.
    tutorial = install(python, folder / "tutorial", "--no-compile", *fastapi, "uvicorn")
    floor = compiled(python, install(python, folder / "floor", "--no-compile", *fastapi))
    powertools = compiled(python, install(python, folder / "powertools", "--no-compile", POWERTOOLS))
    quickstart = install(python, folder / "quickstart", "--no-compile", QUICKSTART)
    return [
        Function("this project", folder / "project" / "function", folder / "project" / "layer"),
        Function("this project, no bytecode", without / "function", without / "layer"),
        Function("this project, no bytecode, no savings in main.py", plain / "function", plain / "layer"),
        Function("importing fastapi and mangum", app("floor", folder), floor),
        Function("the tutorial's FastAPI", app("tutorial", folder), tutorial),
        Function("Powertools' resolver", app("powertools", folder), powertools),
        Function("AWS's quick start", app("quickstart", folder), quickstart),
        Function("a bare handler", app("bare", folder), folder / "nothing"),
    ]


def make_realistic(runtime: str, folder: Path = CACHE / "bench realistic") -> list[Function]:
    """Build the realistic application anew for a runtime in both ways, and return them, the project first."""
    python = needed(runtime)
    project = render(runtime, folder)
    add_realistic(project)
    subprocess.run([sys.executable, "scripts/build.py", "lock"], cwd=project, check=True)
    unpack(project, folder / "project")
    code = tutorial_way(folder / "tutorial code")
    # Each package has the version that the project has locked.
    locked = re.findall(r"^[\w.-]+==[^\\\n]+", lock_of(project), re.MULTILINE)
    (folder / "versions.txt").write_text("\n".join(locked), encoding="utf-8")
    packages = ["--constraint", str(folder / "versions.txt"), "fastapi", "mangum", "uvicorn", *NEEDS]
    task = install(python, folder / "tutorial", "--no-compile", *packages) / "python"
    shutil.copytree(code, task, dirs_exist_ok=True)
    (folder / "nothing" / "python").mkdir(parents=True)
    return [
        Function("this project", folder / "project" / "function", folder / "project" / "layer"),
        Function("the tutorial's way", task, folder / "nothing"),
    ]


def make_state(runtime: str, folder: Path = CACHE / "bench state") -> list[Function]:
    """Build the default project and one with a table, a worker and a secret, and return API, API and worker."""
    needed(runtime)
    state = {"storage": "dynamodb", "events": "sqs", "secret": True}
    parts = {}
    for name, answers in {"default": {}, "state": state}.items():
        project = render(runtime, folder / name, **answers)
        unpack(project, folder / name)
        parts[name] = (folder / name / "function", folder / name / "layer")
    event = json.loads((project / "events" / "job.json").read_text(encoding="utf-8"))
    # Without AWS the table is not asked if a message is done; all else is as on Lambda.
    variables = {"IDEMPOTENCY_TABLE": "none", "POWERTOOLS_IDEMPOTENCY_DISABLED": "true"}
    return [
        Function("the default project's API", *parts["default"]),
        Function("the API with a table, a worker and a secret", *parts["state"]),
        Function("its worker", *parts["state"], "worker.handler", event, variables),
    ]


def add_realistic(project: Path) -> None:
    """Put the realistic application in the place of the example in a rendered project."""
    (project / "app" / "items.py").unlink()
    shutil.copytree(REALISTIC / "shop", project / "app" / "shop", ignore=shutil.ignore_patterns("__pycache__"))
    lines = {"import items\n": "import shop\n", "app.include_router(items.router)\n": "shop.add_to(app)\n"}
    replace(project / "app" / "main.py", lines)
    more = "".join(f'    "{need}",\n' for need in NEEDS)
    replace(project / "pyproject.toml", {"dependencies = [\n": f"dependencies = [\n{more}"})


def tutorial_way(folder: Path) -> Path:
    """Write the realistic application with plain functions into a folder, and return that."""
    shutil.copytree(REALISTIC, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "await" not in text, f"{path} does not work as plain functions"
        path.write_text(re.sub(r"^async def ", "def ", text, flags=re.MULTILINE), encoding="utf-8")
    return folder


def replace(path: Path, texts: dict[str, str]) -> None:
    """Replace texts in a file; each has to be there once."""
    content = path.read_text(encoding="utf-8")
    for old, new in texts.items():
        assert content.count(old) == 1, f"{path.name} has changed: {old}"
        content = content.replace(old, new)
    path.write_text(content, encoding="utf-8")


def needed(runtime: str) -> Path:
    """Return the interpreter of a runtime, or end the program if there is none."""
    python = interpreter(runtime)
    if python is None:
        sys.exit(f"{runtime} is needed; `uv python install {runtime.removeprefix('python')}`")
    return python


def render(runtime: str, folder: Path, **more: object) -> Path:
    """Render the default project for a runtime, or one with more answers, into an emptied folder, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    answers = {"runtime": runtime, "architecture": ARCHITECTURE, "build_layer": False, **more}
    return Path(cookiecutter(str(ROOT), no_input=True, extra_context=answers, output_dir=str(folder)))


def unpack(project: Path, target: Path) -> None:
    """Build the archives of a project, and unpack them as Lambda does."""
    subprocess.run([sys.executable, "scripts/build.py", "zip"], cwd=project, check=True)
    for name in ("function", "layer"):
        shutil.unpack_archive(project / "dist" / f"{name}.zip", target / name)


def lock_of(project: Path) -> str:
    """Return the lock file of a project's layer."""
    return (project / "app" / "requirements.txt").read_text(encoding="utf-8")


def drop_savings(main: Path) -> None:
    """Take out of main.py what it does about the garbage collector and Pydantic 1."""
    lines = main.read_text(encoding="utf-8").splitlines(keepends=True)
    marks = (
        "gc.",
        "import gc",
        "import sys",
        "from typing",
        "compat: ",
        "if hasattr(compat, ",
        "    recognize = ",
        "    compat.",
    )
    kept = [line for line in lines if not line.startswith(marks)]
    assert len(lines) - len(kept) == 10, "main.py has changed"
    main.write_text("".join(kept), encoding="utf-8")


def install(python: Path, folder: Path, *arguments: str) -> Path:
    """Install packages with plain pip, and return the folder of the layer that they make."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", folder / "python"]
    subprocess.run([*command, *arguments], check=True)
    return folder


def compiled(python: Path, layer: Path) -> Path:
    """Compile a layer, and return it."""
    flags = ["-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([python, *flags, "-s", layer, "-p", "/opt", layer / "python"], check=True)
    return layer


def app(name: str, folder: Path) -> Path:
    """Put one of apps/ where the code of a function lies, and return that folder."""
    (folder / "nothing" / "python").mkdir(parents=True, exist_ok=True)
    task = folder / f"task {name}"
    task.mkdir()
    shutil.copy(APPS / f"{name}.py", task / "main.py")
    return task


def zipped_mib(*folders: Path) -> float:
    """Return the size that folders have when they are zipped, in MiB."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return round(sum(len(zlib.compress(path.read_bytes(), 9)) + 100 for path in files) / 2**20, 2)


def unzipped_mib(*folders: Path) -> float:
    """Return the size of the files in folders, in MiB."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return round(sum(path.stat().st_size for path in files) / 2**20, 2)


def machine(runtime: str) -> dict[str, str]:
    """Return what the figures depend on."""
    python = subprocess.run([interpreter(runtime), "-V"], capture_output=True, text=True).stdout.strip()
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    processor = re.search(r"model name\s*: (.*)", info)
    lock = (ROOT / "{{cookiecutter.project_slug}}" / "app" / "requirements.txt").read_text()
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE))
    named = ("fastapi", "mangum", "starlette", "pydantic")
    return {
        "runtime": python,
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor[1] if processor else platform.processor(),
        "packages": ", ".join(f"{name} {pins[name]}" for name in named) + f", {POWERTOOLS.replace('==', ' ')}",
        "emulator": f"aws-sam-cli {version('aws-sam-cli')}",
        "uv": subprocess.run([UV, "--version"], capture_output=True, text=True).stdout.split()[1],
    }


def ratio(these: list[float], those: list[float]) -> tuple[float, float, float]:
    """Return the median of the paired ratios, and their lower and upper quartile."""
    ratios = [this / that for this, that in zip(these, those, strict=True)]
    low, _, high = quantiles(ratios, n=4)
    return round(median(ratios), 3), round(low, 3), round(high, 3)


def write(name: str, results: dict[str, object]) -> None:
    """Keep results beside the scripts."""
    path = Path(__file__).resolve().parent / f"{name}.json"
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"wrote benchmarks/{path.name}")
