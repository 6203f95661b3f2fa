"""What is wrong with a CloudFormation template: cfn-lint, cloudformation-validate, and rules that neither has.

check.py runs this with the Python of .venv-check.
"""

import json
{% if cookiecutter.__template %}
import logging
import os
{% endif %}
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cfnlint.api import ManualArgs, lint
from cfnlint.data import AdditionalSpecs
from cfnlint.decode import decode
from cfnlint.helpers import load_resource

try:
    from cloudformation_validate import CompositeEngine, TemplateContent
except ImportError:  # it was taken out of pyproject.toml: it has no wheel for Alpine Linux, or glibc below 2.34
    CompositeEngine = None

# What cfn-lint's informational rules need not say: Join or Sub is taste, what stays when a queue or a table is deleted
# is for its owner to decide, a context is for tools that read the template, and the last reports what the translation
# itself writes; the rule `partition` below reads what was written by hand.
IGNORED = ["I1022", "I3011", "I3013", "I4010", "I3042"{{ ', "W3005"' if cookiecutter.__serverless }}]
# What has no meaning when parameters are replaced by their values, and cfn-lint has said of those.
IGNORED_IF_RESOLVED = {"F2012", "F2015", "W2001"{{ ', "W3005"' if cookiecutter.__serverless }}}
# Seconds after which API Gateway answers with an error.
LIMITS = {"AWS::ApiGatewayV2::Api": 30, "AWS::ApiGateway::RestApi": 29}
MILLISECONDS = ("TimeoutInMillis", "timeoutInMillis")
IAM = ("AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy")
NOTHING = {"Ref": "AWS::NoValue"}
# What to do, where a tool does not say.
ADVICE = {"E3004": "; the function needs no address of itself: `request.base_url` has it"}

Finding = tuple[str, str, str, str]  # file, resource, rule, and what is wrong and what to do


@dataclass
class Template:
    """A template as it is deployed to a region: for a stage, with these parameters."""

    file: str
    content: dict[str, Any]
    region: str
    stage: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> dict[str, Any]:
    """Return the content of a template; raise ValueError if it is not valid YAML."""
    content, problems = decode(str(path))
    if problems:
        raise ValueError(f"{path.name}: line {problems[0].linenumber}: {problems[0].message}")
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return plain


def examine(templates: list[Template]) -> list[str]:
    """Return what is found in the templates, a line each; what is so in some stages only names them."""
    stages: dict[Finding, list[str]] = {}
    engine = CompositeEngine and CompositeEngine()
    for template in templates:
        for finding in findings(template, engine):
            found = stages.setdefault(finding, [])
            found += [template.stage] if template.stage not in found else []
    lines = []
    for (file, resource, rule, text), found in stages.items():
        everywhere = {template.stage for template in templates if template.file == file} == set(found)
        where = "" if everywhere else f" (stage {', '.join(found)})"
        lines.append(f"{file}: {resource}: {rule}: {' '.join(text.split())}{where}")
    return lines


def findings(template: Template, engine: Any) -> Iterator[Finding]:
    """Return what each tool and each rule finds in a template."""
    for name in template.parameters.keys() - template.content.get("Parameters", {}).keys():
        yield template.file, name, "parameter", f"the stage sets it, but {template.file} has no such parameter"
    for name, text in fixed_partitions(template.content):
        yield template.file, name, "partition", f"{text} names one partition of AWS; use !Sub with AWS::Partition"
    {% if cookiecutter.__template %}
    translated, problems = translate(template)
    for name, text in problems:
        yield template.file, name, "translation", text
    if problems:
        return
    {% else %}
    translated = template.content
    {% endif %}
    for name, parameter in translated.get("Parameters", {}).items():
        if name in template.parameters:
            parameter["Default"] = number(template.parameters[name], parameter["Type"])
    numbers = set()
    options = ManualArgs(regions=[template.region], include_checks=["I"], ignore_checks=IGNORED)
    for match in lint(json.dumps(translated), config=options):
        name = place([str(part) for part in match.path or []])
        numbers.add((name, match.rule.id[1:]))
        # A parameter has the value of the stage as its default here.
        message = match.message.replace("Default", "It") if name in template.parameters else match.message
        yield template.file, name, match.rule.id, message + ADVICE.get(match.rule.id, "")
    deployed = resolve(translated, template.region)
    for rule in (alarms, log_groups, {{ "queues, " if cookiecutter.__worker }}statements, timeouts):
        for name, text in rule(translated, deployed):
            yield template.file, name, rule.__name__, text
    if engine:
        for each in engine.validate_template(TemplateContent(json.dumps(deployed), template.file)).diagnostics:
            name = each.entity.logical_id if each.entity else "template"
            # Most of its rules are those of cfn-lint, with the same number.
            known = each.severity.name == "INFO" or (name, each.rule_id[1:]) in numbers
            if not known and each.rule_id not in IGNORED_IF_RESOLVED:
                yield template.file, name, each.rule_id, each.message


def place(path: list[str]) -> str:
    """Return the name of the resource, parameter or output that a path in a template leads to."""
    return path[1] if len(path) > 1 else "template"


{% if cookiecutter.__template %}
def translate(template: Template) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the plain CloudFormation template that CloudFormation makes of a template, or what is wrong with it.

    S3 addresses are put in the place of local files first, as a deployment does.
    """
    if "Transform" not in template.content:
        return template.content, []
    # The translation reads it, when it is imported too.
    os.environ["AWS_DEFAULT_REGION"] = template.region
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.translator.transform import transform

    class NoManagedPolicies:
        def load(self) -> dict[str, str]:
            return {}

    for resource in template.content["Resources"].values():
        properties = resource.get("Properties", {})
        for name in ("CodeUri", "ContentUri"):
            if isinstance(properties.get(name), str):
                properties[name] = "s3://bucket/archive.zip"
    try:
        return transform(template.content, {}, NoManagedPolicies()), []
    except InvalidDocumentException as error:
        return {}, [(getattr(cause, "_logical_id", "template"), cause.message) for cause in error.causes]


{% endif %}
def resolve(template: dict[str, Any], region: str) -> dict[str, Any]:
    """Return a template with the defaults of its parameters in their places, and without what a condition excludes."""
    values: dict[str, Any] = {"AWS::Region": region}
    for name, parameter in template.get("Parameters", {}).items():
        values[name] = number(parameter.get("Default", ""), parameter["Type"])
    conditions = template.get("Conditions", {})

    def holds(condition: Any) -> bool:
        if isinstance(condition, str):
            return holds(conditions[condition])
        ((function, operands),) = condition.items()
        if function == "Condition":
            return holds(operands)
        if function == "Fn::Equals":
            first, second = (str(replaced(operand)) for operand in operands)
            return first == second
        results = [holds(operand) for operand in operands]
        return {"Fn::Not": lambda: not results[0], "Fn::And": lambda: all(results), "Fn::Or": lambda: any(results)}[
            function
        ]()

    def replaced(value: Any) -> Any:
        if isinstance(value, list):
            return [each for each in map(replaced, value) if each != NOTHING]
        if not isinstance(value, dict):
            return value
        if value.keys() == {"Ref"}:
            return values.get(value["Ref"], value)
        if value.keys() == {"Fn::If"}:
            condition, right, wrong = value["Fn::If"]
            return replaced(right if holds(condition) else wrong)
        return {name: new for name, each in value.items() if (new := replaced(each)) != NOTHING}

    resolved = {name: value for name, value in template.items() if name != "Conditions"}
    for section in ("Resources", "Outputs"):
        resolved[section] = {
            name: replaced({key: value for key, value in each.items() if key != "Condition"})
            for name, each in template.get(section, {}).items()
            if "Condition" not in each or holds(each["Condition"])
        }
    return {name: value for name, value in resolved.items() if value}


def number(value: Any, kind: str) -> Any:
    """Return the value of a parameter, as a number if it is one."""
    return int(value) if kind == "Number" and str(value).isdigit() else value


def walk(value: Any) -> Iterator[Any]:
    """Return a value and all that is in it."""
    yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(each)


def of_type(template: dict[str, Any], *kinds: str) -> dict[str, dict[str, Any]]:
    """Return the properties of the resources of some types."""
    resources = template.get("Resources", {}).items()
    return {name: each.get("Properties", {}) for name, each in resources if each["Type"] in kinds}


def listed(value: Any) -> list[Any]:
    """Return a value that may be a list as one."""
    return value if isinstance(value, list) else [value]


def fixed_partitions(template: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the ARNs in which the partition is written out."""
    for name, resource in template.get("Resources", {}).items():
        texts = [text for text in walk(resource) if isinstance(text, str)]
        yield from ((name, arn) for text in texts for arn in re.findall(r"\barn:aws[a-z-]*:[\w-]+:", text))


def log_groups(_: dict[str, Any], deployed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the log groups that keep logs for ever, and the functions with such a one."""
    groups = of_type(deployed, "AWS::Logs::LogGroup")
    for name, group in groups.items():
        if "RetentionInDays" not in group:
            yield name, "it keeps its logs for ever; set RetentionInDays"
    names = [group.get("LogGroupName") for group in groups.values()]
    for name, function in of_type(deployed, "AWS::Lambda::Function").items():
        group = function.get("LoggingConfig", {}).get("LogGroup")
        own = [f"/aws/lambda/{function.get('FunctionName')}", {"Fn::Sub": "/aws/lambda/${" + name + "}"}]
        if not (isinstance(group, dict) and group.get("Ref") in groups) and not any(each in names for each in own):
            yield name, "Lambda makes a log group that keeps its logs for ever; set LoggingConfig.LogGroup"


def alarms(_: dict[str, Any], deployed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the alarms that have a metric and no period."""
    for name, alarm in of_type(deployed, "AWS::CloudWatch::Alarm").items():
        if "MetricName" in alarm and "Period" not in alarm:
            yield name, "CloudWatch refuses an alarm on a metric without a period; set Period"


{% if cookiecutter.__worker %}
def queues(_: dict[str, Any], deployed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the queues that deliver a message again while Lambda may still try to hand it to a function."""
    for mapping in of_type(deployed, "AWS::Lambda::EventSourceMapping").values():
        source, target = str(mapping.get("EventSourceArn")), str(mapping.get("FunctionName"))
        for name, queue in of_type(deployed, "AWS::SQS::Queue").items():
            for function, properties in of_type(deployed, "AWS::Lambda::Function").items():
                given, needed = queue.get("VisibilityTimeout", 30), 6 * properties.get("Timeout", 3)
                if f"'{name}'" in source and f"'{function}'" in target and given < needed:
                    rule = f"six times the timeout of {function}, as AWS recommends"
                    yield name, f"VisibilityTimeout is {given} s; set it to at least {needed}: {rule}"


{% endif %}
def statements(_: dict[str, Any], deployed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the permissions that are wider than they have to be."""
    services = load_resource(AdditionalSpecs, "Policies.json")
    for name, resource in deployed.get("Resources", {}).items():
        kind = resource["Type"]
        if kind == "AWS::KMS::Key":  # its policy is about that key alone
            continue
        for policy in walk(resource.get("Properties", {}).get("ManagedPolicyArns")):
            if isinstance(policy, str) and policy.endswith(("AdministratorAccess", "FullAccess", "PowerUserAccess")):
                yield name, f"{policy} allows actions that the template does not name; write the statements"
        for statement in walk(resource):
            if not isinstance(statement, dict) or statement.get("Effect") != "Allow":
                continue
            actions = [action for action in listed(statement.get("Action", [])) if isinstance(action, str)]
            for action in actions:
                if "*" in action:
                    yield name, f"{action} allows actions that the template does not name; name each"
            if kind in IAM and ("NotAction" in statement or "NotResource" in statement):
                yield name, "NotAction and NotResource allow all but what they name; use Action and Resource"
            if kind in IAM and "*" in listed(statement.get("Resource")):
                for action in actions:
                    service, _colon, operation = action.lower().partition(":")
                    known = services.get(service, {}).get("Actions", {}).get(operation, {})
                    if kinds := known.get("Resources"):
                        yield name, f"{action} is allowed on every resource; name an ARN ({', '.join(kinds)})"


def timeouts(template: dict[str, Any], deployed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the functions that may take longer than API Gateway waits, and parameters that allow it."""
    kinds = {resource["Type"] for resource in deployed.get("Resources", {}).values()}
    limits = [limit for kind, limit in LIMITS.items() if kind in kinds]
    called = {
        str(permission.get("FunctionName"))
        for permission in of_type(deployed, "AWS::Lambda::Permission").values()
        if permission.get("Principal") == "apigateway.amazonaws.com"
    }
    for name, function in of_type(deployed, "AWS::Lambda::Function").items():
        if not limits or not any(f"'{name}'" in target for target in called):
            continue
        # API Gateway's own may be set, and that of a REST API can be raised by a quota.
        given = [each[key] for each in walk(deployed) if isinstance(each, dict) for key in each if key in MILLISECONDS]
        limit = max([int(each) / 1000 for each in given if str(each).isdigit()] or limits)
        if function.get("Timeout", 3) > limit:
            yield name, f"Timeout is {function['Timeout']} s, and API Gateway answers with an error after {limit:g} s"
        written = template["Resources"][name]["Properties"].get("Timeout")
        parameter = written.get("Ref") if isinstance(written, dict) else None
        if parameter and float(template["Parameters"][parameter].get("MaxValue", 900)) > limit:
            yield parameter, f"API Gateway answers with an error after {limit:g} s; set MaxValue to at most that"
