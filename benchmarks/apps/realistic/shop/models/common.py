from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Sku = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}-\d{4}$")]
Amount = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class Currency(StrEnum):
    EUR = "EUR"
    GBP = "GBP"
    USD = "USD"


class Role(StrEnum):
    GUEST = "guest"
    CUSTOMER = "customer"
    STAFF = "staff"


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Money(Model):
    amount: Amount
    currency: Currency = Currency.EUR

    def times(self, factor: int | Decimal) -> "Money":
        return Money(amount=(self.amount * factor).quantize(Decimal("0.01")), currency=self.currency)


class Address(Model):
    street: Name
    number: Annotated[str, StringConstraints(max_length=10)]
    postal_code: Annotated[str, StringConstraints(min_length=3, max_length=10)]
    city: Name
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = "NL"

    @field_validator("country", mode="before")
    @classmethod
    def upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value


class Timestamps(Model):
    created: datetime = Field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    changed: datetime | None = None


class User(Model):
    name: Name
    role: Role = Role.GUEST


class Paging(Model):
    page: int = Field(default=1, ge=1)
    size: int = Field(default=20, ge=1, le=100)

    def cut(self, values: list[Any]) -> list[Any]:
        start = (self.page - 1) * self.size
        return values[start : start + self.size]


class PageInfo(Paging):
    total: int = Field(ge=0)


class Message(Model):
    detail: str
