from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException

from shop.dependencies import AppStore, PageRequest, require_staff
from shop.models.common import Message
from shop.models.invoices import CreditNote, CreditNoteCreate, Invoice, InvoicePage, InvoiceStatus

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


@router.post("/{invoice_id}/credit-notes", status_code=201, dependencies=[Depends(require_staff)])
async def create_credit_note(invoice: Found, note: CreditNoteCreate) -> CreditNote:
    invoice.status = InvoiceStatus.CREDITED
    return CreditNote(invoice_id=invoice.invoice_id, dated=date(2026, 1, 4), **note.model_dump())
