"""A shop: customers, products, orders, invoices, shipments, reports and two pages."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from shop.routers import categories, customers, invoices, orders, pages, products, reports, shipments

ROUTERS = [categories, customers, invoices, orders, pages, products, reports, shipments]


def add_to(app: FastAPI) -> None:
    for module in ROUTERS:
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
