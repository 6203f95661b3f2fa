from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Response

from shop.dependencies import AppStore, PageRequest, require_staff
from shop.models.common import Address, Message
from shop.models.customers import Customer, CustomerCreate, CustomerPage, CustomerUpdate
from shop.models.orders import Order

router = APIRouter(prefix="/customers", tags=["customers"], responses={404: {"model": Message}})


async def find_customer(customer_id: int, store: AppStore) -> Customer:
    if customer_id not in store.customers:
        raise HTTPException(404, f"There is no customer {customer_id}")
    return store.customers[customer_id]


Found = Annotated[Customer, Depends(find_customer)]


@router.get("", dependencies=[Depends(require_staff)])
async def list_customers(store: AppStore, paging: PageRequest) -> CustomerPage:
    customers = list(store.customers.values())
    return CustomerPage(**paging.model_dump(), total=len(customers), items=paging.cut(customers))


@router.post("", status_code=201)
async def create_customer(customer: CustomerCreate, store: AppStore) -> Customer:
    number = max(store.customers, default=0) + 1
    store.customers[number] = Customer(customer_id=number, **customer.model_dump())
    return store.customers[number]


@router.get("/{customer_id}")
async def read_customer(customer: Found) -> Customer:
    return customer


@router.patch("/{customer_id}")
async def update_customer(customer: Found, update: CustomerUpdate, store: AppStore) -> Customer:
    changed = customer.model_copy(update={name: getattr(update, name) for name in update.model_fields_set})
    store.customers[customer.customer_id] = changed
    return changed


@router.delete("/{customer_id}", status_code=204, dependencies=[Depends(require_staff)])
async def delete_customer(customer: Found, store: AppStore) -> Response:
    del store.customers[customer.customer_id]
    return Response(status_code=204)


@router.get("/{customer_id}/addresses")
async def list_addresses(customer: Found) -> list[Address]:
    return customer.addresses


@router.get("/{customer_id}/orders")
async def list_orders_of_customer(customer: Found, store: AppStore) -> list[Order]:
    return [order for order in store.orders.values() if order.customer_id == customer.customer_id]
