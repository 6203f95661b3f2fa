"""Questions that are asked again, while Cookiecutter asks."""

import inspect
import sys

import click
from cookiecutter.prompt import prompt_for_config, read_user_choice, read_user_variable

from cookiecutter_fastapi_lambda.rules import CHOICES, Problem, problems


def ask_again(answers: dict[str, object]) -> str:
    """Ask again for each answer that cannot be used, put what is typed among the answers, and return an empty text.

    cookiecutter.json has this after its questions. Where nobody is asked the answers stay, to be refused together.
    """
    while is_asking() and (found := problems(answers)):
        click.echo(found[0].sentence)
        ask(answers, found[0])
    return ""


def is_asking() -> bool:
    """Return True if Cookiecutter is asking questions at a terminal.

    Nothing else tells: `no_input` is known to the function that asks alone, whichever program has called it.
    """
    frame = inspect.currentframe()
    while frame and frame.f_code is not prompt_for_config.__code__:
        frame = frame.f_back
    return frame is not None and not frame.f_locals.get("no_input", True) and sys.stdin.isatty()


def ask(answers: dict[str, object], problem: Problem) -> None:
    """Ask for one of the answers of a problem, and put it among the answers."""
    question = problem.questions[0]
    if len(problem.questions) > 1:
        question = read_user_choice("the answer to change", [*problem.questions])
    if question in CHOICES:
        answers[question] = read_user_choice(question, [*CHOICES[question]])
    else:
        answers[question] = read_user_variable(question, problem.example)
