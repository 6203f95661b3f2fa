from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from shop.models.common import Address, Model, Money, Name, PageInfo, Sku, Timestamps


class OrderStatus(StrEnum):
    NEW = "new"
    PAID = "paid"
    SENT = "sent"
    CANCELLED = "cancelled"


class PercentDiscount(Model):
    kind: Literal["percent"] = "percent"
    percent: Decimal = Field(gt=0, le=50)


class AmountDiscount(Model):
    kind: Literal["amount"] = "amount"
    amount: Money


Discount = Annotated[PercentDiscount | AmountDiscount, Field(discriminator="kind")]


class CardPayment(Model):
    method: Literal["card"] = "card"
    last_digits: Annotated[str, StringConstraints(pattern=r"^\d{4}$")]


class TransferPayment(Model):
    method: Literal["transfer"] = "transfer"
    iban: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}\d{2}[A-Z0-9]{10,30}$")]


Payment = Annotated[CardPayment | TransferPayment, Field(discriminator="method")]


class OrderLineCreate(Model):
    sku: Sku
    quantity: int = Field(ge=1, le=99)


class OrderLine(OrderLineCreate):
    name: Name
    price: Money
    total: Money


class Totals(Model):
    goods: Money
    discount: Money
    shipping: Money
    tax: Money
    due: Money


class OrderCreate(Model):
    customer_id: int
    lines: list[OrderLineCreate] = Field(min_length=1, max_length=50)
    deliver_to: Address
    payment: Payment
    discount: Discount | None = None

    @model_validator(mode="after")
    def each_once(self) -> Self:
        if len({line.sku for line in self.lines}) < len(self.lines):
            raise ValueError("an article is on one line of an order")
        return self


class Order(Timestamps):
    order_id: int
    customer_id: int
    status: OrderStatus = OrderStatus.NEW
    lines: list[OrderLine]
    deliver_to: Address
    payment: Payment
    discount: Discount | None = None
    totals: Totals


class OrderStatusChange(Model):
    status: OrderStatus
    reason: Name | None = None


class OrderPage(PageInfo):
    items: list[Order]
