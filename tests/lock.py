"""Writes every lock anew: the tools' in requirements/, and the two that a rendered project starts with.

The project's are made by its own `build.py lock`, so they are what `make lock` gives in a fresh project.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("app/requirements.txt", "requirements-dev.txt")

if __name__ == "__main__":
    for group in ("new", "test", "bench", "runtime"):
        # Lambda's oldest Python here is 3.11; the tools run on whatever the machine has.
        lowest = "3.11" if group == "runtime" else "3.10"
        subprocess.run(
            [
                *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--upgrade", "--universal"),
                *("--generate-hashes", "--no-annotate", "--python-version", lowest, "--group", group),
                *("--custom-compile-command", "make lock", "--output-file", f"requirements/{group}.txt"),
            ],
            cwd=ROOT,
            check=True,
        )
    with tempfile.TemporaryDirectory() as folder:
        answers = {"build_layer": False}
        project = Path(cookiecutter(str(ROOT), no_input=True, extra_context=answers, output_dir=folder))
        # Whatever indexes this machine has beside the public one are nobody else's business.
        environment = os.environ | {"PIP_CONFIG_FILE": os.devnull}
        subprocess.run([sys.executable, "build.py", "lock", "--upgrade"], cwd=project, env=environment, check=True)
        for lock in LOCKS:
            shutil.copyfile(project / lock, ROOT / "{{cookiecutter.project_slug}}" / lock)
