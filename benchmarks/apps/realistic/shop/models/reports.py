from shop.models.common import Model, Money
from shop.models.orders import OrderStatus


class StatusCount(Model):
    status: OrderStatus
    orders: int


class SalesReport(Model):
    turnover: Money
    by_status: list[StatusCount]


class StockWarning(Model):
    sku: str
    name: str
    left: int


class StockReport(Model):
    warnings: list[StockWarning]
