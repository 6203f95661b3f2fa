from shop.models.common import Model, Money
from shop.models.orders import OrderStatus


class StatusCount(Model):
    status: OrderStatus
    orders: int


class SalesReport(Model):
    turnover: Money
    by_status: list[StatusCount]
