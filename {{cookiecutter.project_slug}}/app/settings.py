"""Settings, read once from the environment of the function."""

import os
from urllib.parse import urlsplit

# The web sites whose pages may call this service, such as https://shop.example.com; * for all of them.
ALLOWED_ORIGINS = [origin.strip().rstrip("/") for origin in os.environ.get("ALLOWED_ORIGINS", "").split(",") if origin]
# Whether /docs, /redoc and /openapi.json are served.
DOCS = os.environ.get("DOCS", "on") == "on"
# Lambda sets it from LoggingConfig, and drops records below that level itself.
LOG_LEVEL = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO").upper().replace("TRACE", "DEBUG")
# The bytes that the body of a request may have; a larger one is answered with status 413.
MAX_BODY_SIZE = int(size) if (size := os.environ.get("MAX_BODY_SIZE", "1048576")).isdecimal() else -1
if MAX_BODY_SIZE < 0:
    raise ValueError(f"MAX_BODY_SIZE is {size!r}; it has to be a number of bytes, such as 1048576")
# Where CloudWatch puts the metrics of metrics.py; unset, as in tests and under uvicorn, none are written.
METRICS_NAMESPACE = os.environ.get("METRICS_NAMESPACE", "")
# The address at which clients find the service on Lambda, with its base path, if CloudFront or another proxy is in
# front: https://www.example.com/shop. Unset, it is the one that the event has.
PUBLIC_URL = urlsplit(os.environ.get("PUBLIC_URL", "").rstrip("/"))
if PUBLIC_URL.geturl() and not (PUBLIC_URL.scheme in ("http", "https") and PUBLIC_URL.netloc):
    raise ValueError(f"PUBLIC_URL is {PUBLIC_URL.geturl()!r}; it has to be like https://www.example.com/shop")
{% if cookiecutter.__worker %}
# The queue of the worker.
QUEUE_URL = os.environ.get("QUEUE_URL", "")
{% endif %}
{% if cookiecutter.__table %}
# The DynamoDB table with the items.
TABLE_NAME = os.environ.get("TABLE_NAME", "")
{% endif %}
{% if cookiecutter.secret %}
# The secret in Secrets Manager: where it is, never what it is.
SECRET_ARN = os.environ.get("SECRET_ARN", "")
{% endif %}
