from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from shop.models.common import Address, Model, Name
from shop.models.products import Dimensions


class Carrier(StrEnum):
    BICYCLE = "bicycle"
    POST = "post"


class Parcel(Model):
    dimensions: Dimensions
    code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{8,20}$")]


class TrackingEvent(Model):
    time: datetime
    place: Name
    what: Name


class ShipmentCreate(Model):
    order_id: int
    carrier: Carrier = Carrier.POST
    parcels: list[Parcel] = Field(min_length=1)


class Shipment(ShipmentCreate):
    shipment_id: int
    address: Address
    events: list[TrackingEvent] = []
