"""Settings, read once from the environment of the function."""

import os

# The web sites whose pages may call this service, such as https://shop.example.com; * for all of them.
ALLOWED_ORIGINS = [origin.strip().rstrip("/") for origin in os.environ.get("ALLOWED_ORIGINS", "").split(",") if origin]
# Whether /docs, /redoc and /openapi.json are served.
DOCS = os.environ.get("DOCS", "on") == "on"
# Lambda sets it from LoggingConfig, and drops records below that level itself.
LOG_LEVEL = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO").replace("TRACE", "DEBUG")
