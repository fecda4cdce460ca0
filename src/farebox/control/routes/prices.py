"""The price book: what is listed, own prices of accounts and keys, and taking in new ones."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from farebox.control import imports
from farebox.control.body import Body, exact_json
from farebox.control.caller import Admin, AnAdmin, AnAsk, AnOffice
from farebox.control.fields import Id, Moment, Note
from farebox.control.office import Office
from farebox.control.problems import Problem
from farebox.control.routes.parts import PAGE, Cursor, Limit, answers, router
from farebox.control.routes.usage import Accept, Format
from farebox.control.shapes import ImportOut, PricePage
from farebox.control.wire import Json, csv_text, from_cursor, from_pico, moment, to_cursor, wants_csv
from farebox.pricing.book import PROVIDER_ALIASES
from farebox.pricing.importer import write_price_csv
from farebox.pricing.rows import PriceRow
from farebox.providers.catalogue import Catalogue
from farebox.store.reading import Books
from farebox.store.reports import Reports
from farebox.usage import BY_THE_MILLION

ROUTER = router("prices")
_ROUTES = {"openai": "chat_completions", "anthropic": "messages"}
_PER_TOKENS = 1_000_000
_Row = tuple[str, PriceRow]


class ImportIn(Body):
    """Prices to take in. Without `csv`: the list that comes with Farebox. What is not named stays, unless `replace`."""

    csv: str | None = None
    scope: Id | None = None
    accept: bool = False
    accept_loss: bool = False
    replace: bool = False
    dry_run: bool = False
    note: Note = ""


@ROUTER.get("/prices", responses=answers(PricePage, csv=True))
async def list_prices(
    office: AnOffice,
    caller: AnAdmin,
    model: Annotated[Id | None, Query(description="The exact name, or provider/model.")] = None,
    provider: Annotated[Id | None, Query()] = None,
    unit: Annotated[Id | None, Query()] = None,
    scope: Annotated[Id | None, Query(description="Own prices of this account or key, instead of the list.")] = None,
    at: Annotated[Moment | None, Query(description="Only prices that hold at this time; not said: all that hold now or later.")] = None,
    written_as: Format = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
    accept: Accept = None,
) -> Response:
    """Lists prices. CSV has all of them at once, past ones too, in the form that an import reads."""
    if scope is not None:
        await _scope(office, caller, scope)
    books = await office.books()
    book = books.own.get(scope) if scope is not None else books.listed
    as_csv, now = wants_csv(accept, written_as), office.context.clock()
    rows = [
        row for row in _chosen(book.prices() if book is not None else (), model, provider, unit) if _holds(row, at, 0 if as_csv else now)
    ]
    rows.sort(key=lambda row: (row.provider, row.model, row.unit, row.tier_above, str(row.conditions), row.valid_from_us))
    if as_csv:
        return csv_text(write_price_csv(rows))
    offset = from_cursor(cursor, int) or 0
    if not 0 <= offset <= len(rows):
        raise Problem("invalid_request", "cursor: this is not a next_cursor of this list.")
    shown = [_shown(row, scope or "", books, office.context.catalogue) for row in rows[offset : offset + limit]]
    following = to_cursor(offset + limit) if offset + limit < len(rows) else None
    return Json({"data": shown, "next_cursor": following, "version": books.version})


@ROUTER.post(
    "/prices/import",
    status_code=201,
    responses={**answers(ImportOut, 201), **answers(ImportOut, 200)},
    openapi_extra={
        "requestBody": {
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/ImportIn"}},
                "text/csv": {"schema": {"type": "string"}},
            }
        }
    },
)
async def import_prices(
    office: AnOffice,
    caller: AnAdmin,
    asked: AnAsk,
    request: Request,
    scope: Annotated[Id | None, Query(description="With a CSV body: whose own prices these are.")] = None,
    accept: Annotated[bool, Query(description="With a CSV body: take unusual changes in.")] = False,
    accept_loss: Annotated[bool, Query(description="With a CSV body: own prices may be below the provider's.")] = False,
    replace: Annotated[bool, Query(description="With a CSV body: what it does not name goes.")] = False,
    dry_run: Annotated[bool, Query(description="With a CSV body: only say what would change.")] = False,
) -> Json:
    """Takes prices in as a new version of the book, or (`dry_run`) says what would change. Unusual changes need `accept`: a jump beyond
    a factor, a price that becomes nothing, or is gone.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "text/csv":
        body = ImportIn(csv=_utf8(await request.body()), accept=accept, accept_loss=accept_loss, replace=replace, dry_run=dry_run)
        body = body.model_copy(update={"scope": scope})
    else:
        if request.query_params:
            raise Problem("invalid_request", "Query parameters go with a CSV body; with JSON they are fields of the body.")
        body = await _body(request, kind)
    wanted = imports.Import(
        body.csv, await whose(office, caller, body.scope), body.accept, body.accept_loss, body.replace, body.dry_run, body.note
    )
    done, repeated = await imports.take_in(office, asked.id, wanted)
    return Json(done, 200 if body.dry_run else 201, {"x-farebox-replayed": "1"} if repeated else {})


async def _body(request: Request, kind: str) -> ImportIn:
    data = await request.body()
    if not data:
        return ImportIn()
    if kind not in ("application/json", ""):
        raise Problem("unsupported_media_type", "Send application/json or text/csv.")
    return ImportIn.model_validate(exact_json(data))


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Problem("invalid_prices", "The file is not UTF-8.") from None


async def whose(office: Office, caller: Admin, scope: str | None) -> str:
    """The account or key whose own prices are meant, or "": the list, which is the whole installation's. Raises a Problem."""
    if scope is None and caller.scope is not None:
        raise Problem("needs_full_scope", "The price list is the whole installation's: name an account or key of yours as `scope`.")
    return "" if scope is None else await _scope(office, caller, scope)


async def _scope(office: Office, caller: Admin, scope: str) -> str:
    """The id of the account or key whose own prices are meant. Raises a Problem."""

    def find(reports: Reports) -> str | None:
        key, account = reports.key(scope), reports.account(scope)
        owner = key.account if key is not None else account.id if account is not None else None
        if owner is None or not reports.within(owner, caller.scope):
            return None
        return key.id if key is not None else scope

    found = await office.read(find)
    if found is None:
        raise Problem("unknown_account", f"scope: there is no account or key {scope!r}.", errors=[{"field": "scope", "problem": "unknown"}])
    return found


def _chosen(rows: Iterable[PriceRow], model: str | None, provider: str | None, unit: str | None) -> Iterator[PriceRow]:
    wanted = None if provider is None else PROVIDER_ALIASES.get(provider, provider)
    for row in rows:
        named = model in (None, row.model, f"{row.provider}/{row.model}")
        if named and wanted in (None, row.provider) and unit in (None, row.unit):
            yield row


def _holds(row: PriceRow, at: int | None, now: int) -> bool:
    return row.holds_at(at) if at is not None else row.valid_to_us is None or now < row.valid_to_us


def _shown(row: PriceRow, scope: str, books: Books, catalogue: Catalogue) -> dict[str, Any]:
    per = _PER_TOKENS if row.unit in BY_THE_MILLION else 1
    model = books.listed.model(row.provider, row.model)
    kind = model.kind if model is not None else "chat"
    return {
        "scope": scope,
        "provider": row.provider,
        "model": row.model,
        "kind": kind,
        "route": _route(row.provider, catalogue) if kind == "chat" else None,
        "unit": row.unit,
        "usd": from_pico(row.pico * per),
        "per": per,
        "tier_above": row.tier_above,
        "conditions": imports.conditions_json(row.conditions),
        "source": row.source,
        "valid_from": moment(row.valid_from_us or None),
        "valid_to": moment(row.valid_to_us),
        "checked_at": moment(row.checked_at_us or None),
    }


def _route(prices: str, catalogue: Catalogue) -> str | None:
    """The route by which a configured provider serves this; None where none is configured."""
    for provider in catalogue.providers.values():
        if PROVIDER_ALIASES.get(provider.prices, provider.prices) == prices:
            return _ROUTES.get(provider.dialect)
    return None
