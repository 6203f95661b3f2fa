from decimal import Decimal
from functools import cache

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shop.models.common import Currency


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")

    name: str = "The corner shop"
    currency: Currency = Currency.EUR
    vat_percent: Decimal = Field(default=Decimal(21), ge=0, le=100)
    page_size: int = Field(default=20, ge=1, le=100)
    free_shipping_from: Decimal = Decimal(50)


@cache
def read_settings() -> Settings:
    return Settings()
