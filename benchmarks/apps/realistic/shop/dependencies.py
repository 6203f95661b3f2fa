from typing import Annotated

from fastapi import Depends, HTTPException, Query, Request

from shop.config import Settings, read_settings
from shop.models.common import Paging, Role, User
from shop.store import Store, read_store


async def settings() -> Settings:
    return read_settings()


async def store() -> Store:
    return read_store()


AppSettings = Annotated[Settings, Depends(settings)]
AppStore = Annotated[Store, Depends(store)]


async def paging(
    settings: AppSettings,
    page: Annotated[int, Query(ge=1, description="The number of the page, from 1")] = 1,
    size: Annotated[int | None, Query(ge=1, le=100, description="How many on a page")] = None,
) -> Paging:
    return Paging(page=page, size=size or settings.page_size)


async def current_user(request: Request) -> User:
    """Return who the API's JWT authorizer says is asking."""
    event = request.scope.get("aws.event") or {}
    claims = event.get("requestContext", {}).get("authorizer", {}).get("jwt", {}).get("claims", {})
    return User(name=claims.get("sub", "guest"), role=claims.get("role", Role.GUEST))


PageRequest = Annotated[Paging, Depends(paging)]
CurrentUser = Annotated[User, Depends(current_user)]


async def require_staff(user: CurrentUser) -> None:
    if user.role is not Role.STAFF:
        raise HTTPException(403, "Only staff may do this")
