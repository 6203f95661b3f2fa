from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from shop.dependencies import AppSettings, AppStore
from shop.models.customers import Email

router = APIRouter(prefix="/pages", tags=["pages"], default_response_class=HTMLResponse)
templates = Jinja2Templates(directory=Path(__file__).parent.parent / "templates")


@router.get("/catalogue")
async def show_catalogue(request: Request, store: AppStore, settings: AppSettings) -> HTMLResponse:
    context = {"shop": settings.name, "products": list(store.products.values())}
    return templates.TemplateResponse(request, "catalogue.html", context)


@router.post("/newsletter")
async def subscribe(request: Request, email: Annotated[Email, Form()], settings: AppSettings) -> HTMLResponse:
    return templates.TemplateResponse(request, "subscribed.html", {"shop": settings.name, "email": email})
