from datetime import date
from decimal import Decimal
from enum import StrEnum

from pydantic import Field

from shop.models.common import Address, Model, Money, Name, PageInfo


class InvoiceStatus(StrEnum):
    OPEN = "open"
    PAID = "paid"
    CREDITED = "credited"


class TaxSummary(Model):
    percent: Decimal
    base: Money
    tax: Money


class InvoiceLine(Model):
    text: Name
    quantity: int = Field(ge=1)
    total: Money


class Invoice(Model):
    invoice_id: int
    order_id: int
    status: InvoiceStatus = InvoiceStatus.OPEN
    dated: date
    bill_to: Address
    lines: list[InvoiceLine]
    taxes: list[TaxSummary]
    due: Money


class InvoicePage(PageInfo):
    items: list[Invoice]
