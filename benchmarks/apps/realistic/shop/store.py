"""What a database would hold."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache

from fastapi import HTTPException

from shop.config import read_settings
from shop.models.common import Address, Money
from shop.models.customers import Contact, Customer
from shop.models.invoices import Invoice, InvoiceLine, TaxSummary
from shop.models.orders import (
    AmountDiscount,
    CardPayment,
    Order,
    OrderCreate,
    OrderLine,
    OrderLineCreate,
    Totals,
)
from shop.models.products import Category, Product, Review, Stock, Variant
from shop.models.shipments import Shipment, TrackingEvent


@dataclass
class Store:
    categories: dict[str, Category] = field(default_factory=dict)
    customers: dict[int, Customer] = field(default_factory=dict)
    products: dict[int, Product] = field(default_factory=dict)
    reviews: dict[int, list[Review]] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    invoices: dict[int, Invoice] = field(default_factory=dict)
    shipments: dict[int, Shipment] = field(default_factory=dict)

    def variant(self, sku: str) -> tuple[Product, Variant]:
        for product in self.products.values():
            for variant in product.variants:
                if variant.sku == sku:
                    return product, variant
        raise HTTPException(404, f"There is no article {sku}")

    def priced(self, order_id: int, wanted: OrderCreate) -> Order:
        settings = read_settings()
        lines = []
        for line in wanted.lines:
            product, variant = self.variant(line.sku)
            total = variant.price.times(line.quantity)
            lines.append(OrderLine(**line.model_dump(), name=product.name, price=variant.price, total=total))
        goods = Money(amount=sum((line.total.amount for line in lines), Decimal(0)), currency=settings.currency)
        discount = goods.times(0)
        if isinstance(wanted.discount, AmountDiscount):
            discount = Money(amount=min(wanted.discount.amount.amount, goods.amount), currency=settings.currency)
        elif wanted.discount:
            discount = goods.times(wanted.discount.percent / 100)
        free = goods.amount >= settings.free_shipping_from
        shipping = Money(amount=Decimal(0) if free else Decimal("4.95"), currency=settings.currency)
        net = Money(amount=goods.amount - discount.amount + shipping.amount, currency=settings.currency)
        tax = net.times(settings.vat_percent / 100)
        due = Money(amount=net.amount + tax.amount, currency=settings.currency)
        return Order(
            order_id=order_id,
            **wanted.model_dump(exclude={"lines"}),
            lines=lines,
            totals=Totals(goods=goods, discount=discount, shipping=shipping, tax=tax, due=due),
        )

    def invoiced(self, order: Order) -> Invoice:
        lines = [InvoiceLine(text=line.name, quantity=line.quantity, total=line.total) for line in order.lines]
        base = Money(amount=order.totals.due.amount - order.totals.tax.amount)
        return Invoice(
            invoice_id=order.order_id,
            order_id=order.order_id,
            dated=date(2026, 1, 2),
            bill_to=order.deliver_to,
            lines=lines,
            taxes=[TaxSummary(percent=read_settings().vat_percent, base=base, tax=order.totals.tax)],
            due=order.totals.due,
        )

    @staticmethod
    def scanned(place: str, what: str) -> TrackingEvent:
        return TrackingEvent(time=datetime(2026, 1, 3, tzinfo=UTC), place=place, what=what)


ADDRESS = Address(street="Long Street", number="7", postal_code="1234 AB", city="Delft", country="nl")


@cache
def read_store() -> Store:
    store = Store()
    for slug, name in (("tools", "Tools"), ("hand-tools", "Hand tools"), ("garden", "Garden")):
        store.categories[slug] = Category(slug=slug, name=name)
    for number, name in enumerate(("Hammer", "Saw", "Rake", "Spade"), start=1):
        price = Money(amount=Decimal(10 * number))
        variants = [Variant(sku=f"TOO-{number:04}", price=price, stock=Stock(on_hand=4 * number))]
        category = "hand-tools" if number < 3 else "garden"
        store.products[number] = Product(product_id=number, name=name, category=category, variants=variants)
    for number, name in enumerate(("Ada", "Grace", "Edsger"), start=1):
        contact = Contact(email=f"{name}@example.com")
        store.customers[number] = Customer(customer_id=number, name=name, contact=contact, addresses=[ADDRESS])
    for number in (1, 2, 3):
        lines = [OrderLineCreate(sku="TOO-0001", quantity=number), OrderLineCreate(sku="TOO-0003", quantity=1)]
        payment = CardPayment(last_digits="4242")
        wanted = OrderCreate(customer_id=number, lines=lines, deliver_to=ADDRESS, payment=payment)
        store.orders[number] = store.priced(number, wanted)
        store.invoices[number] = store.invoiced(store.orders[number])
    return store
