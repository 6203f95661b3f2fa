from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query

from shop.dependencies import AppStore, CurrentUser, PageRequest, require_staff
from shop.models.common import Message
from shop.models.products import (
    PriceChange,
    Product,
    ProductCreate,
    ProductPage,
    ProductUpdate,
    Review,
    ReviewCreate,
)

router = APIRouter(prefix="/products", tags=["products"], responses={404: {"model": Message}})


async def find_product(product_id: int, store: AppStore) -> Product:
    if product_id not in store.products:
        raise HTTPException(404, f"There is no product {product_id}")
    return store.products[product_id]


Found = Annotated[Product, Depends(find_product)]


@router.get("")
async def list_products(
    store: AppStore, paging: PageRequest, search: Annotated[str | None, Query(max_length=50)] = None
) -> ProductPage:
    products = [each for each in store.products.values() if (search or "").lower() in each.name.lower()]
    return ProductPage(**paging.model_dump(), total=len(products), items=paging.cut(products))


@router.post("", status_code=201, dependencies=[Depends(require_staff)])
async def create_product(product: ProductCreate, store: AppStore) -> Product:
    number = max(store.products, default=0) + 1
    store.products[number] = Product.model_validate(product.model_dump() | {"product_id": number})
    return store.products[number]


@router.get("/{product_id}")
async def read_product(product: Found) -> Product:
    return product


@router.patch("/{product_id}", dependencies=[Depends(require_staff)])
async def update_product(product: Found, update: ProductUpdate, store: AppStore) -> Product:
    changed = product.model_copy(update={name: getattr(update, name) for name in update.model_fields_set})
    store.products[product.product_id] = changed
    return changed


@router.post("/{product_id}/prices", dependencies=[Depends(require_staff)])
async def change_price(product: Found, change: PriceChange) -> list[PriceChange]:
    product.prices.append(change)
    return product.prices


@router.get("/{product_id}/reviews")
async def list_reviews(product: Found, store: AppStore) -> list[Review]:
    return store.reviews.get(product.product_id, [])


@router.post("/{product_id}/reviews", status_code=201)
async def create_review(product: Found, review: ReviewCreate, user: CurrentUser, store: AppStore) -> Review:
    written = Review(author=user.name, **review.model_dump())
    store.reviews.setdefault(product.product_id, []).append(written)
    return written
