from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException

from shop.dependencies import AppStore, PageRequest
from shop.models.common import Message
from shop.models.invoices import Invoice, InvoicePage

router = APIRouter(prefix="/invoices", tags=["invoices"], responses={404: {"model": Message}})


async def find_invoice(invoice_id: int, store: AppStore) -> Invoice:
    if invoice_id not in store.invoices:
        raise HTTPException(404, f"There is no invoice {invoice_id}")
    return store.invoices[invoice_id]


Found = Annotated[Invoice, Depends(find_invoice)]


@router.get("")
async def list_invoices(store: AppStore, paging: PageRequest) -> InvoicePage:
    invoices = list(store.invoices.values())
    return InvoicePage(**paging.model_dump(), total=len(invoices), items=paging.cut(invoices))


@router.get("/{invoice_id}")
async def read_invoice(invoice: Found) -> Invoice:
    return invoice
