"""logs.py and aws.py, as far as they can be tried without an account."""

import json
import re
from argparse import Namespace
from datetime import datetime
{% if cookiecutter.__sam %}
from pathlib import Path
{% endif %}
from typing import Any
from unittest.mock import Mock, call

import pytest
from botocore.exceptions import ClientError

import aws
import logs

ID = "8f1c2d3e-0000-4000-8000-123456789abc"


def event(record: object, at: int = 0) -> dict[str, Any]:
    """Return an event of CloudWatch Logs; its id is its time."""
    message = record if isinstance(record, str) else json.dumps(record)
    return {"timestamp": at, "message": f"{message}\n", "eventId": str(at)}


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ("no JSON", "no JSON"),
        ([1], "[1]"),
        ({"level": "INFO", "message": "ready", "logger": "main", "requestId": ID}, f"INFO {ID} ready logger=main"),
        ({"level": "INFO", "message": {"a": 1}, "order": 7}, "INFO - {'a': 1} order=7"),
        ({"_aws": {"Timestamp": 1}, "ItemsCreated": 1}, "- -  ItemsCreated=1"),
        (
            {"time": "", "type": "platform.report", "record": {"requestId": ID, "metrics": {"durationMs": 1.5}}},
            f"LAMBDA {ID} platform.report durationMs=1.5",
        ),
        (
            {"level": "ERROR", "message": "no", "errorType": "A", "errorMessage": "b", "stackTrace": ["  x\n    y\n"]},
            "ERROR - no\n  x\n    y\nA: b",
        ),
        ({"errorType": "A", "errorMessage": "b", "stackTrace": ["  x\n", "  y\n"]}, "- - \n  x\n  y\nA: b"),
        ({"errorType": "A", "errorMessage": "b"}, "- - \nA: b"),
        (
            {"apiRequestId": "a", "requestId": ID, "method": "GET", "path": "/", "status": "200", "latency": "7"},
            f"ACCESS {ID} GET / 200 in 7 ms",
        ),
        (
            {"apiRequestId": "a", "method": "GET", "path": "/", "status": "429", "latency": "-", "error": "Too many"},
            "ACCESS - GET / 429 in - ms: Too many",
        ),
        (
            {"apiRequestId": "a", "method": "", "path": "", "status": "", "latency": "", "integrationError": "b"},
            "ACCESS -    in  ms: b",
        ),
        (
            {"apiRequestId": "a", "method": "", "path": "", "status": "", "latency": "", "error": ""},
            "ACCESS -    in  ms",
        ),
    ],
)
def test_line(record: object, text: str) -> None:
    """A line has time, level, request id and message, and a traceback has lines of its own."""
    assert logs.line(event(record, 1_700_000_000_000)) == f"{datetime.fromtimestamp(1_700_000_000)} {text}"


def test_nothing_controls_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What a client sends is shown in ASCII, without the characters that a terminal obeys."""
    logs.show([event("b\x1b[2J\u00fc\r", 1000), event("a")])
    shown = capsys.readouterr().out.splitlines()
    assert [line[20:] for line in shown] == ["a", r"b\x1b[2J\xfc"]


def test_follow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Events of all groups are shown by their time, each once, those that come late too, until Ctrl-C."""
    pages: dict[str, list[list[dict[str, Any]]]] = {
        "api": [[event("a", 100_000)], [event("a", 100_000), event("late", 50_000), event("edge", 40_000)]],
        "access": [[event("c", 99_000)], [], [event("d", 201_000)]],
        "none": [[], [], []],
    }
    pages["api"].append([event("edge", 40_000), event("b", 200_000)])
    asked: list[int] = []

    def paginate(logGroupName: str, startTime: int) -> list[dict[str, Any]]:  # noqa: N803 - these are boto3's names
        if logGroupName == "api":
            asked.append(startTime)
        return [{"events": pages[logGroupName].pop(0)}]

    wait = Mock(side_effect=[None, None, KeyboardInterrupt])
    monkeypatch.setattr("time.sleep", wait)
    client = Mock(get_paginator=Mock(return_value=Mock(paginate=paginate)))
    with pytest.raises(KeyboardInterrupt):
        logs.follow(client, ["api", "access", "none"], 0)
    assert [line[20:] for line in capsys.readouterr().out.splitlines()] == ["c", "a", "edge", "late", "b", "d"]
    assert asked == [0, 40_000, 40_000]
    wait.assert_called_with(logs.POLL_SECONDS)
    client.get_paginator.assert_called_with("filter_log_events")


def deployed(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Return the client for the logs of a service that is deployed; the time is a million seconds."""
    keys = {"ApiLogGroupName": "api", "AccessLogGroupName": "access", "ApiUrl": "https://it"}
    found = [{"OutputKey": key, "OutputValue": value} for key, value in keys.items()]

    def describe_stacks(StackName: str) -> dict[str, Any]:  # noqa: N803
        return {"it-dev": {"Stacks": [{"Outputs": found}]}}[StackName]

    client = Mock()
    clients = {"logs": client, "cloudformation": Mock(describe_stacks=describe_stacks)}
    session = Mock(region_name="us-east-1", client=clients.__getitem__)
    monkeypatch.setattr(logs, "connect", Mock(return_value=(session, "it-dev")))
    monkeypatch.setattr("time.time", Mock(return_value=1_000_000))
    return client


@pytest.mark.parametrize(("since", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7200), ("3d", 259_200), ("", 604_800)])
def test_request(since: str, seconds: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its lines are looked for in each log group, as long back as was asked for, and shown by their time."""
    paginate = deployed(monkeypatch).get_paginator.return_value.paginate
    paginate.side_effect = [[{"events": [event("b", 2)]}, {"events": [event("c", 3)]}], [{"events": [event("a", 1)]}]]
    assert logs.main(["--request", ID, *(["--since", since] if since else [])]) == 0
    # Without quotes, CloudWatch Logs would take the hyphens for operators.
    more = {"startTime": (1_000_000 - seconds) * 1000, "filterPattern": f'"{ID}"'}
    assert paginate.mock_calls == [call(logGroupName=group, **more) for group in ("api", "access")]
    assert [line[20:] for line in capsys.readouterr().out.splitlines()] == ["a", "b", "c"]


def test_request_without_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence says where it was looked for, and what to try."""
    deployed(monkeypatch).get_paginator.return_value.paginate.return_value = []
    assert logs.main(["--request", ID, "--since", "3h"]) == 1
    advice = "a line takes some seconds to arrive, and `--since 30d` looks further back"
    reason = f"the logs of it-dev have no request {ID} in the last 3h; {advice}"
    assert capsys.readouterr().err == f"logs.py: {reason}.\n"


def test_without_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """All logs are followed, with those of the last ten minutes; Ctrl-C is how one ends that."""
    client, follow = deployed(monkeypatch), Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr(logs, "follow", follow)
    assert logs.main([]) == 0
    follow.assert_called_once_with(client, ["api", "access"], 999_400_000)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what the options are for."""
    with pytest.raises(SystemExit, match="0"):
        logs.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    about = " ".join(str(logs.__doc__).split())
    assert re.match(rf"usage: logs\.py \[-h\] \[--stage STAGE\] .*\[--since SINCE\] {re.escape(about)} options: ", said)
    assert " --stage STAGE the stage; dev by default " in said
    {% if not cookiecutter.__sam %}
    assert f" --region REGION the AWS region; {aws.REGION} by default " in said
    {% endif %}
    assert " --request ID show the lines of this request, and end --since " in said
    assert said.endswith(" --since SINCE how far to look back, such as 30s, 10m, 2h or 7d; 10m, with --request 7d")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--since", "soon"], "--since 'soon': write a number and s, m, h or d, such as 10m"),
        (["--request", 'a"b'], "--request 'a\"b': write what the header x-request-id of the response has"),
        (["--stage", "Prod"], "--stage 'Prod': the name of a stage is a lower-case letter, then"),
    ],
)
def test_arguments_that_are_refused(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What CloudWatch Logs could not find is refused before it is asked."""
    assert logs.main(arguments) == 1
    assert capsys.readouterr().err.startswith(f"logs.py: {reason}")


def test_stage_that_is_not_deployed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names the stack and the region."""
    refusal = ClientError({"Error": {"Code": "ValidationError", "Message": "it-dev does not exist"}}, "DescribeStacks")
    session = Mock(region_name="us-east-1")
    session.client.return_value.describe_stacks.side_effect = refusal
    monkeypatch.setattr(logs, "connect", Mock(return_value=(session, "it-dev")))
    assert logs.main([]) == 1
    assert capsys.readouterr().err == "logs.py: nothing is deployed to it-dev in us-east-1.\n"


@pytest.mark.parametrize("word", ["credentials", "Token"])
def test_advice_about_credentials(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that have expired, which AWS calls a token, are advised about like those that are missing."""
    assert aws.run("logs.py", Mock(side_effect=OSError(f"no  {word}.\n"))) == 1
    advice = "`aws configure` or `aws sso login` gives credentials, AWS_PROFILE chooses them"
    assert capsys.readouterr().err == f"logs.py: no {word}; {advice}.\n"


def test_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends a command with one line."""
    assert aws.run("logs.py", Mock(side_effect=KeyboardInterrupt)) == 130
    assert capsys.readouterr().err == "logs.py: interrupted.\n"


def test_lines_arrive_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe too, and in ASCII."""
    stream = Mock()
    monkeypatch.setattr("sys.stdout", stream)
    aws.say("b\u00fc")
    stream.write.assert_any_call(r"b\xfc")
    stream.flush.assert_called_once_with()
{% if not cookiecutter.__sam %}


def test_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The region is the one that is given."""
    session = Mock()
    monkeypatch.setattr("boto3.Session", session)
    options = Namespace(stage="qa2", region="eu-west-1")
    assert aws.connect(options) == (session.return_value, f"{aws.NAME}-qa2")
    session.assert_called_once_with(region_name="eu-west-1")
{% else %}


def test_settings_of_sam(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What `sam deploy --guided` has written, the profile too, is that of the scripts."""
    monkeypatch.setattr(aws, "PROJECT", tmp_path)
    text = '[default.global.parameters]\nstack_name = "it-dev"\nregion = "us-east-1"\n'
    text += '[default.deploy.parameters]\nstack_name = "other"\nprofile = "work"\n'
    (tmp_path / "samconfig.toml").write_text(text, encoding="utf-8")
    session = Mock()
    monkeypatch.setattr("boto3.Session", session)
    assert aws.connect(Namespace(stage="dev")) == (session.return_value, "other")
    session.assert_called_once_with(profile_name="work", region_name="us-east-1")
{% endif %}
