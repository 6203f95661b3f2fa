"""The Jinja extension that Cookiecutter loads: rules that validate answers, and filters that write them into files."""

import sys

from jinja2 import Environment
from jinja2.ext import Extension


class Template(Extension):
    """Add this version of the template to a Jinja environment: cookiecutter.json names this class in `_extensions`.

    `cruft update` renders two versions of the template in one process, from one folder. So the modules are imported
    again for each environment. No bytecode is written: Python takes it as current if size and second are equal.
    """

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        keeps_no_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            from cookiecutter_fastapi_lambda import environment as current

            current.prepare(environment)
        finally:
            sys.dont_write_bytecode = keeps_no_bytecode
            for name in [name for name in sys.modules if name.partition(".")[0] == __name__]:
                del sys.modules[name]
