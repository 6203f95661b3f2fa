"""Ask again for invalid answers, while Cookiecutter prompts."""

import inspect
import sys

import click
from cookiecutter.prompt import prompt_for_config, read_user_choice, read_user_variable

from cookiecutter_fastapi_lambda.rules import CHOICES, Problem, problems


def ask_again(answers: dict[str, object]) -> str:
    """Ask again for each invalid answer, store the new one in `answers`, and return an empty string.

    Replace the number of a choice by the choice. cookiecutter.json applies this filter after each question. Without
    prompts or without a terminal, invalid answers stay; `Answers` in environment.py rejects them.
    """
    if not is_asking():
        return ""
    for question, choices in CHOICES.items():
        numbers = {str(number): choice for number, choice in enumerate(choices, start=1)}
        if question in answers:
            answers[question] = numbers.get(str(answers[question]), answers[question])
    while sys.stdin.isatty() and (found := problems(answers)):
        click.echo(found[0].sentence)
        ask(answers, found[0])
    return ""


def is_asking() -> bool:
    """Return True if Cookiecutter is asking questions.

    Only Cookiecutter's prompt_for_config has `no_input`, so this reads it from that function's stack frame.
    """
    frame = inspect.currentframe()
    while frame and frame.f_code is not prompt_for_config.__code__:
        frame = frame.f_back
    return frame is not None and not frame.f_locals.get("no_input", True)


def ask(answers: dict[str, object], problem: Problem) -> None:
    """Ask for one of the answers of a problem, and store it in `answers`."""
    question = problem.questions[0]
    if len(problem.questions) > 1:
        question = read_user_choice("the answer to change", [*problem.questions])
    if question in CHOICES:
        answers[question] = read_user_choice(question, [*CHOICES[question]])
    else:
        answers[question] = read_user_variable(question, problem.example)
