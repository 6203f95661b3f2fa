"""What the bodies of errors look like in the documentation of the API."""

from pydantic import BaseModel


class Error(BaseModel):
    """The body of an error."""

    detail: str
