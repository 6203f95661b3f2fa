import fastapi  # noqa: F401
import mangum  # noqa: F401


def handler(event, context):
    return {"statusCode": 200, "body": '{"message": "hello"}'}
