"""logs.py and aws.py, as far as they can be tried without an account."""

import json
{% if cookiecutter.__sam %}
from argparse import Namespace
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
        (
            {"apiRequestId": "a", "requestId": ID, "method": "GET", "path": "/", "status": "200", "latency": "7"},
            f"ACCESS {ID} GET / 200 in 7 ms",
        ),
        (
            {"apiRequestId": "a", "method": "GET", "path": "/", "status": "429", "latency": "-", "error": "Too many"},
            "ACCESS - GET / 429 in - ms: Too many",
        ),
    ],
)
def test_line(record: object, text: str) -> None:
    """A line has time, level, request id and message, and a traceback has lines of its own."""
    assert logs.line(event(record))[20:] == text


def test_nothing_controls_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What a client sends is shown in ASCII, without the characters that a terminal obeys."""
    logs.show([event("b\x1b[2J\u00fc\r", 1000), event("a")])
    shown = capsys.readouterr().out.splitlines()
    assert [line[20:] for line in shown] == ["a", r"b\x1b[2J\xfc"]


def test_follow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Events of all groups are shown by their time, each once, those that come late too, until Ctrl-C."""
    pages: dict[str, list[list[dict[str, Any]]]] = {
        "api": [[event("a", 100_000)], [event("a", 100_000), event("late", 50_000)], [event("b", 200_000)]],
        "access": [[event("c", 99_000)], [], [event("d", 201_000)]],
    }
    asked: list[int] = []

    def paginate(logGroupName: str, startTime: int) -> list[dict[str, Any]]:  # noqa: N803 - these are boto3's names
        if logGroupName == "api":
            asked.append(startTime)
        return [{"events": pages[logGroupName].pop(0)}]

    monkeypatch.setattr("time.sleep", Mock(side_effect=[None, None, KeyboardInterrupt]))
    client = Mock(get_paginator=Mock(return_value=Mock(paginate=paginate)))
    with pytest.raises(KeyboardInterrupt):
        logs.follow(client, ["api", "access"], 0)
    assert [line[20:] for line in capsys.readouterr().out.splitlines()] == ["c", "a", "late", "b", "d"]
    assert asked == [0, 40_000, 40_000]


@pytest.mark.parametrize(("since", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7200), ("3d", 259_200), ("", 604_800)])
def test_request(since: str, seconds: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its lines are looked for in each log group, as long back as was asked for, and shown by their time."""
    keys = {"ApiLogGroupName": "api", "AccessLogGroupName": "access", "ApiUrl": "https://it"}
    found = [{"OutputKey": key, "OutputValue": value} for key, value in keys.items()]
    client, session = Mock(), Mock(region_name="us-east-1")
    client.describe_stacks.return_value = {"Stacks": [{"Outputs": found}]}
    paginate = client.get_paginator.return_value.paginate
    paginate.side_effect = [[{"events": [event("b", 2)]}, {"events": [event("c", 3)]}], [{"events": [event("a", 1)]}]]
    session.client.return_value = client
    monkeypatch.setattr(logs, "connect", Mock(return_value=(session, "it-dev")))
    monkeypatch.setattr("time.time", Mock(return_value=1_000_000))
    assert logs.main(["--request", ID, *(["--since", since] if since else [])]) == 0
    # Without quotes, CloudWatch Logs would take the hyphens for operators.
    more = {"startTime": (1_000_000 - seconds) * 1000, "filterPattern": f'"{ID}"'}
    assert paginate.mock_calls == [call(logGroupName=group, **more) for group in ("api", "access")]
    assert [line[20:] for line in capsys.readouterr().out.splitlines()] == ["a", "b", "c"]


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


def test_advice_about_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that have expired, which AWS calls a token, are advised about like those that are missing."""
    expired = {"Code": "ExpiredToken", "Message": "The security token included in the request is expired"}
    assert aws.run("logs.py", Mock(side_effect=ClientError({"Error": expired}, "GetCallerIdentity"))) == 1
    assert "is expired; `aws configure` or `aws sso login` gives credentials" in capsys.readouterr().err


def test_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends a command with one line."""
    assert aws.run("logs.py", Mock(side_effect=KeyboardInterrupt)) == 130
    assert capsys.readouterr().err == "logs.py: interrupted.\n"
{% if cookiecutter.__sam %}


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
