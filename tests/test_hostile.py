"""Any text at all: refused cleanly, or every file parses and reads back equal."""

import ast
import json
import re
from pathlib import Path

from cookiecutter.environment import StrictEnvironment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cookiecutter_fastapi_lambda import rules
from tests.conftest import CONTEXT, QUESTIONS, Bake, files
from tests.parsers import PARSERS, read_markdown, read_toml, read_yaml

HOSTILE = [
    *('Bob\'s "Best" API', "API: v2 #1", "C:\\new\\Users", "ends with \\", "no", "1.0", "null", "- x", "Ünï \u2615"),
    *("${AWS::Region}", "${self:service}", '"""; raise SystemExit(9) #', "{% endraw %}", "{{ 7*7 }}", "{# x #}", "~"),
    *("!Ref x", "&a *a", "<script>alert(1)</script>", "| a | b |", "[x](y)", "\U0001f468\u200d\U0001f469", "a\u0301"),
    *(
        "%s %d {0}",
        "#",
        "# h #",
        "1. x",
        "> q",
        "`code`",
        "***",
        "---",
        "\\",
        "'",
        '"',
        "\\'\\\"",
        "\t",
        "a\nb",
        "\x00",
    ),
    *("\u2028", "\ufeffx", "\u202ex", "&copy; &#35;", "a  b", "\u00a0x", "x\ud800"),
]
MARKS = "\"'\\{}%#$&*`<>[]()|~-+=.!:@\n\t \u00e9\U0001f600a1"
TEXT = st.sampled_from(HOSTILE) | st.text(max_size=220) | st.text(MARKS, max_size=30)
CHOICES = {name: CONTEXT[name] for name in QUESTIONS if isinstance(CONTEXT[name], list)}
REGIONS = st.sampled_from([*rules.REGIONS[::5], "us-est-1", "", "eu-west-9", "US-EAST-1"]) | st.text(max_size=12)
SLUGS = st.sampled_from(["orders-api", "x1", "class", "../x", "a" * 40, "a" * 41, "con"]) | st.from_regex(
    r"[a-z0-9_-]{0,8}"
)
ANSWERS = st.fixed_dictionaries(
    {
        "project_name": TEXT,
        "project_slug": SLUGS,
        "description": TEXT,
        "aws_region": REGIONS,
        **{name: st.sampled_from([*values, "other"]) for name, values in CHOICES.items()},
        "secret": st.booleans(),
        "build_layer": st.just(False),
        "git_init": st.just(False),
    }
)
ENVIRONMENT = StrictEnvironment(context={"cookiecutter": {"_extensions": CONTEXT["_extensions"]}})
SENTENCE = re.compile(r"[a-z_]+(=\S+ and [a-z_]+=\S+)?: .+\.")


def region_of(project: dict[str, str]) -> str:
    """Return the region that a project is deployed to."""
    if "samconfig.toml" in project:
        return read_toml(project["samconfig.toml"])["default"]["global"]["parameters"]["region"]
    if "serverless.yml" in project:
        assert json.loads(project["package.json"])["name"] == read_yaml(project["serverless.yml"])["service"]
        return read_yaml(project["serverless.yml"])["provider"]["region"]
    return re.search(r'^NAME, REGION = ".*", "(.*)"$', project["scripts/aws.py"], re.MULTILINE)[1]


def check_refusal(sentences: list[str]) -> None:
    """Assert that each sentence is one: ASCII, one line, with the prompt first."""
    for sentence in sentences:
        assert sentence.isascii()
        assert sentence.isprintable()
        assert SENTENCE.fullmatch(sentence), sentence


def rendered_by_filters(text: str) -> None:
    """Assert that each filter's text is read back by the parser of its kind of file."""
    templates = {
        "toml": "x = {{ text | quoted }}",
        "yaml": "x: {{ text | quoted }}",
        "json": '{"x": {{ text | quoted }}}',
        "python": "{{ text | python_quoted }}",
        "markdown": "# {{ text | markdown }}\n\n{{ text | markdown }}\n",
    }
    made = {kind: ENVIRONMENT.from_string(template).render(text=text) for kind, template in templates.items()}
    assert read_toml(made["toml"])["x"] == text
    assert read_yaml(made["yaml"])["x"] == text
    assert json.loads(made["json"])["x"] == text
    assert ast.literal_eval(made["python"]) == text
    assert read_markdown(made["markdown"]) == [text, text]
    assert "<script" not in MarkdownIt().render(made["markdown"])


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(ANSWERS)
def test_functions(answers: dict[str, object]) -> None:
    """Through the functions: refused by name with an example that can be used, or every filter keeps the text."""
    found = rules.problems(answers)
    check_refusal([problem.sentence for problem in found])
    check_refusal(rules.warnings(answers))
    for problem in found:
        if len(problem.questions) == 1 and problem.questions != ("build_layer",):
            corrected = answers | {problem.questions[0]: problem.example}
            assert not [other for other in rules.problems(corrected) if other.questions == problem.questions]
    for prompt, text in (("project_name", answers["project_name"]), ("description", answers["description"])):
        if not [problem for problem in found if prompt in problem.questions]:
            rendered_by_filters(str(text))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(ANSWERS.filter(lambda answers: not rules.problems(answers)))
def test_bakes(bake: Bake, answers: dict[str, object]) -> None:
    """Through Cookiecutter: every file parses, and the texts are what was answered."""
    project = files(bake(**answers))
    for path, text in project.items():
        if parse := PARSERS.get(Path(path).suffix):
            assert parse(text), path
    assert read_toml(project["pyproject.toml"])["project"]["description"] == answers["description"]
    if "template.yaml" in project:
        assert read_yaml(project["template.yaml"])["Description"] == answers["description"]
    assert read_markdown(project["README.md"])[:2] == [answers["project_name"], answers["description"]]
    assert region_of(project) == answers["aws_region"]
    strings = {node.value for node in ast.walk(ast.parse(project["app/main.py"])) if isinstance(node, ast.Constant)}
    assert {answers["project_name"], answers["description"]} <= strings
