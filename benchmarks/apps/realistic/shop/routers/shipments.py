from fastapi import APIRouter, Depends, HTTPException

from shop.dependencies import AppStore, require_staff
from shop.models.common import Message
from shop.models.shipments import Shipment, ShipmentCreate, TrackingEvent

router = APIRouter(prefix="/shipments", tags=["shipments"], responses={404: {"model": Message}})


@router.post("", status_code=201, dependencies=[Depends(require_staff)])
async def create_shipment(shipment: ShipmentCreate, store: AppStore) -> Shipment:
    order = store.orders.get(shipment.order_id)
    if order is None:
        raise HTTPException(404, f"There is no order {shipment.order_id}")
    number = max(store.shipments, default=0) + 1
    events = [store.scanned("Delft", "Handed to the carrier")]
    store.shipments[number] = Shipment(
        shipment_id=number, address=order.deliver_to, events=events, **shipment.model_dump()
    )
    return store.shipments[number]


@router.get("/{shipment_id}/events")
async def list_events(shipment_id: int, store: AppStore) -> list[TrackingEvent]:
    if shipment_id not in store.shipments:
        raise HTTPException(404, f"There is no shipment {shipment_id}")
    return store.shipments[shipment_id].events
