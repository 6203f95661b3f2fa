from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query

from shop.dependencies import AppStore, CurrentUser, PageRequest, require_staff
from shop.models.common import Message
from shop.models.orders import Order, OrderCreate, OrderLine, OrderPage, OrderStatus, OrderStatusChange, Totals

router = APIRouter(prefix="/orders", tags=["orders"], responses={404: {"model": Message}})


async def find_order(order_id: int, store: AppStore) -> Order:
    if order_id not in store.orders:
        raise HTTPException(404, f"There is no order {order_id}")
    return store.orders[order_id]


Found = Annotated[Order, Depends(find_order)]


@router.get("")
async def list_orders(
    store: AppStore, paging: PageRequest, status: Annotated[OrderStatus | None, Query()] = None
) -> OrderPage:
    orders = [order for order in store.orders.values() if status in (None, order.status)]
    return OrderPage(**paging.model_dump(), total=len(orders), items=paging.cut(orders))


@router.post("", status_code=201)
async def create_order(order: OrderCreate, store: AppStore) -> Order:
    if order.customer_id not in store.customers:
        raise HTTPException(404, f"There is no customer {order.customer_id}")
    number = max(store.orders, default=0) + 1
    store.orders[number] = store.priced(number, order)
    store.invoices[number] = store.invoiced(store.orders[number])
    return store.orders[number]


@router.post("/quote")
async def quote_order(order: OrderCreate, store: AppStore) -> Totals:
    return store.priced(0, order).totals


@router.get("/{order_id}")
async def read_order(order: Found, user: CurrentUser) -> Order:
    return order


@router.get("/{order_id}/lines")
async def list_lines(order: Found) -> list[OrderLine]:
    return order.lines


@router.put("/{order_id}/status", dependencies=[Depends(require_staff)])
async def change_status(order: Found, change: OrderStatusChange) -> Order:
    order.status = change.status
    return order
