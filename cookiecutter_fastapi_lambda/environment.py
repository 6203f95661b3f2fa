"""What a template file finds: filters, and the answers with the words that follow from them."""

import contextlib
import signal
import sys

import click
from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.runtime import Context

from cookiecutter_fastapi_lambda import filters, prompts, rules


def prepare(environment: Environment) -> None:
    """Add the filters, and let each template find the answers through `Answers`."""
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
    """The variables of a template, in which `cookiecutter` is right in every run, or refused.

    A replay file is rendered without a question, and may have been edited: so this is done when a file is rendered,
    not while questions are asked.
    """

    def resolve_or_missing(self, key: str) -> object:
        """Return a variable; `cookiecutter` with derived words once all questions are answered.

        The first template that is rendered then is the name of the project's folder, before the folder is made.

        Raises:
            FailedHookException: an answer cannot be used; the sentences about it are on standard error.
        """
        value = super().resolve_or_missing(key)
        if key != "cookiecutter" or not rules.complete(value):
            return value
        if found := rules.problems(value):
            print("\n".join(problem.sentence for problem in found), file=sys.stderr)
            names = ", ".join(" and ".join(problem.questions) for problem in found)
            raise FailedHookException(f"Nothing was written, because of {names}.")
        hold_interrupts()
        return {**value, **rules.derived(value)}


def hold_interrupts() -> None:
    """Ignore Ctrl-C from here to the end of the command, since Cookiecutter would leave half a project.

    Writing the files takes a tenth of a second; the hook, which may take longer, heeds Ctrl-C again.
    """
    command = click.get_current_context(silent=True)
    if command is None or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    with contextlib.suppress(ValueError):  # not the main thread, which alone hears Ctrl-C
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        command.call_on_close(lambda: signal.signal(signal.SIGINT, previous))
