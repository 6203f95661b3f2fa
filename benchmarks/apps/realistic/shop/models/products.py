from datetime import date
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, computed_field, model_validator

from shop.models.common import Model, Money, Name, PageInfo, Sku, Timestamps


class Availability(StrEnum):
    IN_STOCK = "in stock"
    LAST_ITEMS = "last items"
    SOLD_OUT = "sold out"


class Category(Model):
    slug: Annotated[str, StringConstraints(pattern=r"^[a-z]+(-[a-z]+)*$")]
    name: Name


class CategoryTree(Category):
    children: list["CategoryTree"] = []


class Dimensions(Model):
    length_mm: int = Field(gt=0)
    width_mm: int = Field(gt=0)
    height_mm: int = Field(gt=0)
    weight_g: int = Field(gt=0)


class Stock(Model):
    on_hand: int = Field(default=0, ge=0)
    reserved: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def enough(self) -> Self:
        if self.reserved > self.on_hand:
            raise ValueError("no more can be reserved than there is")
        return self

    @computed_field  # type: ignore[prop-decorator]
    @property
    def availability(self) -> Availability:
        free = self.on_hand - self.reserved
        return Availability.SOLD_OUT if free == 0 else Availability.LAST_ITEMS if free < 5 else Availability.IN_STOCK


class Variant(Model):
    sku: Sku
    colour: Name | None = None
    price: Money
    stock: Stock = Stock()


class PriceChange(Model):
    price: Money
    from_date: date


class ProductCreate(Model):
    name: Name
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    category: str
    dimensions: Dimensions | None = None
    variants: list[Variant] = Field(min_length=1)


class ProductUpdate(Model):
    name: Name | None = None
    description: Annotated[str, StringConstraints(max_length=2000)] | None = None


class Product(ProductCreate, Timestamps):
    product_id: int
    prices: list[PriceChange] = []


class ProductPage(PageInfo):
    items: list[Product]


class ReviewCreate(Model):
    stars: int = Field(ge=1, le=5)
    text: Annotated[str, StringConstraints(max_length=1000)] = ""


class Review(ReviewCreate, Timestamps):
    author: Name
