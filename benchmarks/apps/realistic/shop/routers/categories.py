from fastapi import APIRouter, HTTPException

from shop.dependencies import AppStore
from shop.models.common import Message
from shop.models.products import Category, CategoryTree, Product

router = APIRouter(prefix="/categories", tags=["categories"])


@router.get("")
async def list_categories(store: AppStore) -> list[Category]:
    return list(store.categories.values())


@router.get("/tree")
async def read_tree(store: AppStore) -> CategoryTree:
    children = [CategoryTree(**category.model_dump()) for category in store.categories.values()]
    return CategoryTree(slug="all", name="Everything", children=children)


@router.get("/{slug}/products", responses={404: {"model": Message}})
async def list_products_of_category(slug: str, store: AppStore) -> list[Product]:
    if slug not in store.categories:
        raise HTTPException(404, f"There is no category {slug}")
    return [product for product in store.products.values() if product.category == slug]
