from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

app = APIGatewayHttpResolver()


@app.get("/")
def root():
    return {"message": "hello"}


@app.get("/items/<item_id>")
def item(item_id: str):
    return {"item_id": int(item_id), "name": f"Item {item_id}"}


def handler(event, context):
    return app.resolve(event, context)
