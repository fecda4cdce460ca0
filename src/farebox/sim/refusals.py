"""How a simulated provider says no before it generates anything. Owns the facts; each dialect finds its own shape for them."""


class RefusedError(Exception):
    """The call is answered with an error status and is not billed, but for the input tokens that say so."""

    def __init__(self, status: int, message: str, *, code: str = "", param: str | None = None, delay_ms: int = 0, billed: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.delay_ms = delay_ms
        self.billed = billed


def invalid(message: str, param: str | None = None, code: str = "") -> RefusedError:
    """The body is not a request of this API."""
    return RefusedError(400, message, param=param, code=code)


def too_large(limit: int) -> RefusedError:
    """The body is larger than this server takes."""
    return RefusedError(413, f"Request exceeds the maximum size of {limit} bytes.")


def no_route(method: str, path: str) -> RefusedError:
    """There is no such route."""
    return RefusedError(404, f"Invalid URL ({method} {path})")


def wrong_method(method: str, path: str) -> RefusedError:
    """The route takes another method."""
    return RefusedError(405, f"Not allowed to {method} on {path}.")
