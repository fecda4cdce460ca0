"""Keys: what callers authenticate with, and what each may spend."""

from typing import Annotated, Literal

from fastapi import Query

from farebox.control import keys, keyviews
from farebox.control.caller import AnAdmin, AnAsk, AnOffice
from farebox.control.office import Office
from farebox.control.problems import not_found
from farebox.control.routes.parts import PAGE, AccountFilter, Cursor, Limit, answers, router, told
from farebox.control.shapes import Deleted, KeyAnswer, KeyPage, NewKeyAnswer
from farebox.control.wire import Json, from_cursor, page
from farebox.ledger.commands import Done
from farebox.store.reports import KeyView, Reports

ROUTER = router("keys")
Status = Literal["active", "paused", "revoked", "all"]


@ROUTER.post("/keys", status_code=201, responses=answers(NewKeyAnswer, 201))
async def issue_key(office: AnOffice, caller: AnAdmin, asked: AnAsk, body: keys.KeyIn) -> Json:
    """Makes a key. Its secret is shown once: here, and to a repeat of this request with the same Idempotency-Key."""
    issued = await keys.issue(office, caller, asked, body)
    shown = await _shown(office, issued.key_id)
    return Json({"data": shown, "key": issued.secret}, 201, told(Done(repeated=issued.repeated)))


@ROUTER.get("/keys", responses=answers(KeyPage))
async def list_keys(
    office: AnOffice,
    caller: AnAdmin,
    account: AccountFilter = None,
    status: Annotated[Status | None, Query(description="Not said: all but revoked ones.")] = None,
    include_disabled: Annotated[bool, Query(description="False leaves paused keys out.")] = True,
    offset: Annotated[int, Query(ge=0, le=10**9, description="Rows to skip; `cursor` is better.")] = 0,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Json:
    """Lists keys with their numbers, oldest first."""
    after = from_cursor(cursor, str) or ""
    statuses = {None: ["active", "paused"], "all": ["active", "paused", "revoked"]}.get(status, [str(status)])
    chosen = [one for one in statuses if include_disabled or one != "paused"]

    def find(reports: Reports) -> list[tuple[KeyView, int | None]]:
        found = reports.keys(caller.scope, account, chosen, after, limit + 1, offset)
        return keys.views(reports, found)

    return page(await office.read(find), limit, lambda one: one[0].key.id, lambda one: keyviews.key(*one))


@ROUTER.get("/keys/{key_id}", responses=answers(KeyAnswer))
async def show_key(office: AnOffice, caller: AnAdmin, key_id: str) -> Json:
    """Shows a key, by its id or its hash."""
    key = await office.key(caller.scope, key_id)
    return Json({"data": await _shown(office, key.id)})


@ROUTER.patch("/keys/{key_id}", responses=answers(KeyAnswer))
async def edit_key(office: AnOffice, caller: AnAdmin, asked: AnAsk, key_id: str, body: keys.KeyPatch) -> Json:
    """Changes a key, from the next request on. What it spent stays spent."""
    key = await office.key(caller.scope, key_id)
    done = await keys.edit(office, asked, key, body)
    return Json({"data": await _shown(office, key.id)}, 200, told(done))


@ROUTER.delete("/keys/{key_id}", responses=answers(Deleted))
async def revoke_key(office: AnOffice, caller: AnAdmin, asked: AnAsk, key_id: str) -> Json:
    """Revokes a key for ever. What it did stays on record."""
    key = await office.key(caller.scope, key_id)
    if key.status != "revoked":
        await keys.set_status(office, asked, key, "revoked")
    return Json({"deleted": True, "data": await _shown(office, key.id)})


@ROUTER.post("/keys/{key_id}/pause", responses=answers(KeyAnswer))
async def pause_key(office: AnOffice, caller: AnAdmin, asked: AnAsk, key_id: str, body: keys.Why | None = None) -> Json:
    """Pauses a key: refused from the next request on. Calls in flight end as they would."""
    key = await office.key(caller.scope, key_id)
    done = await keys.set_status(office, asked, key, "paused", "" if body is None else body.why)
    return Json({"data": await _shown(office, key.id)}, 200, told(done))


@ROUTER.post("/keys/{key_id}/resume", responses=answers(KeyAnswer))
async def resume_key(office: AnOffice, caller: AnAdmin, asked: AnAsk, key_id: str, body: keys.Why | None = None) -> Json:
    """Lets a paused key spend again."""
    key = await office.key(caller.scope, key_id)
    done = await keys.set_status(office, asked, key, "active", "" if body is None else body.why)
    return Json({"data": await _shown(office, key.id)}, 200, told(done))


@ROUTER.post("/keys/{key_id}/rotate", responses=answers(NewKeyAnswer))
async def rotate_key(office: AnOffice, caller: AnAdmin, asked: AnAsk, key_id: str) -> Json:
    """Gives a key another secret. The old one is refused from the next request on; limits and what was spent stay."""
    key = await office.key(caller.scope, key_id)
    issued = await keys.rotate(office, caller, asked, key)
    return Json({"data": await _shown(office, key.id), "key": issued.secret}, 200, told(Done(repeated=issued.repeated)))


async def _shown(office: Office, key_id: str) -> dict[str, object]:
    def find(reports: Reports) -> tuple[KeyView, int | None]:
        key = reports.key(key_id)
        if key is None:
            raise not_found("key", key_id)
        return keys.views(reports, [key])[0]

    return keyviews.key(*await office.read(find))
