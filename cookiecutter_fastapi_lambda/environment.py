"""Prepare the Jinja environment: add the filters, validate the answers, add the variables derived from them."""

import contextlib
import signal
import sys
from collections.abc import Mapping

import click
from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.runtime import Context

from cookiecutter_fastapi_lambda import filters, prompts, rules


def prepare(environment: Environment) -> None:
    """Add the filters, and make `Answers` the context class."""
    environment.filters |= {
        "quoted": filters.quoted,
        "python_quoted": filters.python_quoted,
        "markdown": filters.markdown,
        "usable_slug": rules.usable_slug,
        "warnings": rules.warnings,
        "ask_again": prompts.ask_again,
    }
    environment.context_class = Answers


class Answers(Context):
    """The context of a template: validates `cookiecutter`, the answers, and adds the derived variables.

    This is done when a file is rendered, not only at the prompts: answers from a replay file, which may have been
    edited, pass no prompt.
    """

    def resolve_or_missing(self, key: str) -> object:
        """Return a variable; `cookiecutter` with the derived variables once all questions are answered.

        The first template rendered then is the name of the project's folder, before the folder is created.

        Raises:
            FailedHookException: an answer is invalid; the reasons were printed to standard error.
        """
        value = super().resolve_or_missing(key)
        if key != "cookiecutter" or not rules.complete(value):
            return value
        if found := rules.problems(value) + rules.unknown_names(names_on_command_line()):
            print("\n".join(problem.sentence for problem in found), file=sys.stderr)
            names = ", ".join(" and ".join(problem.questions) for problem in found)
            raise FailedHookException(f"Nothing was written, because of {names}.")
        ignore_interrupts()
        return {**value, **rules.derived(value)}


def names_on_command_line() -> list[str]:
    """Return the names of the answers that are arguments of the cookiecutter command."""
    command = click.get_current_context(silent=True)
    given = command.params.get("extra_context") if command else None
    return list(given) if isinstance(given, Mapping) else []  # `sam init` has a text of that name


def ignore_interrupts() -> None:
    """Ignore Ctrl-C until the end of the command, since Cookiecutter would leave an incomplete project.

    Writing the files takes a tenth of a second. The hook, which may take longer, handles Ctrl-C itself.
    """
    command = click.get_current_context(silent=True)
    if command is None or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    with contextlib.suppress(ValueError):  # signal handlers can be set in the main thread only
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        command.call_on_close(lambda: signal.signal(signal.SIGINT, previous))
