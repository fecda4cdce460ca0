"""What keys may ask about themselves: the key, its credits, a generation. Admin keys ask the same about all that is in their scope."""

from typing import Annotated, Any

from fastapi import Query

from farebox.control import keyviews
from farebox.control.caller import AnOffice, Anyone, Own
from farebox.control.fields import Id
from farebox.control.problems import not_found
from farebox.control.routes.parts import answers, router
from farebox.control.shapes import CreditsAnswer, GenerationAnswer, OwnKeyAnswer
from farebox.control.wire import Json, exact
from farebox.store.reports import Reports

ROUTER = router("own")


@ROUTER.get("/key", responses=answers(OwnKeyAnswer))
async def own_key(office: AnOffice, caller: Anyone) -> Json:
    """What the key that asks may spend."""

    def find(reports: Reports) -> dict[str, Any]:
        if isinstance(caller, Own):
            return keyviews.own_key(reports.key_view(caller.key, reports.now()))
        return keyviews.admin_key(caller.name, caller.scope, reports.credits(caller.scope)[1])

    return Json({"data": await office.read(find)})


@ROUTER.get("/credits", responses=answers(CreditsAnswer))
async def own_credits(office: AnOffice, caller: Anyone) -> Json:
    """What came in and what was spent. For a gateway key: what it spent and what is available to it, not the organization's money."""

    def find(reports: Reports) -> tuple[int, int]:
        if not isinstance(caller, Own):
            return reports.credits(caller.scope)
        view = reports.key_view(caller.key, reports.now())
        spent = view.windows["lifetime"].price_spent
        return spent + view.available, spent

    total, spent = await office.read(find)
    return Json({"data": {"total_credits": exact(total), "total_usage": exact(spent)}})


@ROUTER.get("/generation", responses=answers(GenerationAnswer))
async def generation(
    office: AnOffice, caller: Anyone, request_id: Annotated[Id, Query(alias="id", description="The x-farebox-request-id of a call.")]
) -> Json:
    """What a call came to: complete the moment its answer ends."""

    def find(reports: Reports) -> dict[str, Any]:
        attempts = reports.attempts(request_id)
        hold = attempts[0][0] if attempts else None
        if isinstance(caller, Own):
            seen = hold is not None and hold.key == caller.key.id
        else:
            seen = hold is not None and reports.within(hold.account, caller.scope)
        if not seen:
            raise not_found("generation", request_id)
        return keyviews.generation(attempts, with_costs=not isinstance(caller, Own))

    return Json({"data": await office.read(find)})
