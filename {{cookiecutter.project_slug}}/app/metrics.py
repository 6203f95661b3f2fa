"""Metrics of the application, such as how many items were created, in CloudWatch's embedded metric format.

A metric is a line on standard output, which CloudWatch Logs reads: no call to AWS, no permission, no package.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import sys
import time
from typing import Literal

import settings
from middleware import current_request_id

# fmt: off
Unit = Literal[
    "Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "None",
    "Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes",
    "Bits", "Kilobits", "Megabits", "Gigabits", "Terabits", "Count/Second",
    "Bytes/Second", "Kilobytes/Second", "Megabytes/Second", "Gigabytes/Second", "Terabytes/Second",
    "Bits/Second", "Kilobits/Second", "Megabits/Second", "Gigabits/Second", "Terabits/Second",
]
# fmt: on
MAX_DIMENSIONS = 30


def count(name: str, /, **dimensions: str) -> None:
    """Count one event, such as `count("ItemsCreated")`."""
    emit(name, 1, "Count", **dimensions)


def emit(name: str, value: float, unit: Unit, /, **dimensions: str) -> None:
    """Write one value of a metric, unless METRICS_NAMESPACE is unset.

    AWS charges for each combination of dimensions, so they have few values: never the id of an item or of a user.

    Raises:
        ValueError: CloudWatch would not take the metric.
    """
    # The form of Lambda's own lines. Lambda drops lines below the log level; without a level they count as INFO.
    now = time.time()
    line = {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "level": settings.LOG_LEVEL,
        "requestId": current_request_id.get(),
        "_aws": {
            "Timestamp": int(now * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": settings.METRICS_NAMESPACE,
                    "Dimensions": [[*dimensions]],
                    "Metrics": [{"Name": name, "Unit": unit}],
                }
            ],
        },
    }
    own = {**dimensions, name: value}
    if len(dimensions) > MAX_DIMENSIONS or len(own) <= len(dimensions) or own.keys() & line.keys():
        raise ValueError(f"The metric {name!r} has a name twice, a reserved one, or over {MAX_DIMENSIONS} dimensions")
    text = json.dumps(line | own, allow_nan=False)
    if settings.METRICS_NAMESPACE:
        sys.stdout.write(f"{text}\n")  # a log record would be wrapped in another object
