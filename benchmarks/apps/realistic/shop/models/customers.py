from datetime import date
from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from shop.models.common import Address, Model, Name, PageInfo, Timestamps

Email = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)]


class Contact(Model):
    email: Email
    phone: Annotated[str, StringConstraints(pattern=r"^\+?[\d ]{6,20}$")] | None = None


class Consent(Model):
    newsletter: bool = False
    profiling: bool = False
    given: date | None = None

    @model_validator(mode="after")
    def dated(self) -> Self:
        if (self.newsletter or self.profiling) and self.given is None:
            raise ValueError("a consent has the date on which it was given")
        return self


class CustomerCreate(Model):
    name: Name
    contact: Contact
    addresses: list[Address] = Field(min_length=1, max_length=10)
    consent: Consent = Consent()


class CustomerUpdate(Model):
    name: Name | None = None
    contact: Contact | None = None
    consent: Consent | None = None


class Customer(CustomerCreate, Timestamps):
    customer_id: int

    @field_validator("customer_id")
    @classmethod
    def numbered(cls, value: int) -> int:
        if value < 1:
            raise ValueError("customers are numbered from 1")
        return value


class CustomerPage(PageInfo):
    items: list[Customer]
