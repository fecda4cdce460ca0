"""Price data from outside: genai-prices with its supplement, an operator's own CSV, and what changes when either is taken in.

Owns turning price lists into rows, and refusing what is not exact. Does not own storing them, nor who may accept a change.
Nothing on the way of a request imports this room; genai-prices itself is imported only when `from_genai_prices` is called.
"""

from farebox.pricing.importer.compare import Change as Change
from farebox.pricing.importer.compare import check as check
from farebox.pricing.importer.compare import diff as diff
from farebox.pricing.importer.exact import Rejected as Rejected
from farebox.pricing.importer.own import PriceCsvError as PriceCsvError
from farebox.pricing.importer.own import read_price_csv as read_price_csv
from farebox.pricing.importer.own import write_price_csv as write_price_csv
from farebox.pricing.importer.supplement import Imported as Imported
from farebox.pricing.importer.supplement import completed


def from_genai_prices(now_us: int) -> Imported:
    """Every model and price that the installed genai-prices knows, completed by the supplement that comes with Farebox.

    Providers are named as genai-prices names them (`google`, `x-ai`, `aws`); the book's lookups also take `book.PROVIDER_ALIASES`.
    """
    from farebox.pricing.importer.genai import listed

    return completed(listed(now_us), now_us)
