from collections import Counter
from decimal import Decimal

from fastapi import APIRouter, Depends

from shop.dependencies import AppStore, require_staff
from shop.models.common import Money
from shop.models.reports import SalesReport, StatusCount

router = APIRouter(prefix="/reports", tags=["reports"], dependencies=[Depends(require_staff)])


@router.get("/sales")
async def report_sales(store: AppStore) -> SalesReport:
    counts = Counter(order.status for order in store.orders.values())
    turnover = sum((order.totals.due.amount for order in store.orders.values()), Decimal(0))
    by_status = [StatusCount(status=status, orders=orders) for status, orders in counts.items()]
    return SalesReport(turnover=Money(amount=turnover), by_status=by_status)
