"""All errors that callers may see.

    AclueError
    ├── UserError                 expected: travels in a payload's userErrors
    │   ├── Invalid               INVALID
    │   ├── NotFound              NOT_FOUND
    │   │   ├── UserNotFound
    │   │   └── ProductNotFound
    │   ├── Conflict              CONFLICT
    │   │   └── IdempotencyKeyReused   IDEMPOTENCY_KEY_REUSED
    │   ├── Stale                 STALE
    │   ├── Expired               EXPIRED
    │   ├── LimitReached          LIMIT_REACHED
    │   ├── InvalidCredentials    INVALID_CREDENTIALS
    │   ├── SecondFactorRequired  SECOND_FACTOR_REQUIRED
    │   └── Unavailable           UNAVAILABLE
    └── RequestError              travels in errors[].extensions.code
        ├── BadUserInput          BAD_USER_INPUT
        ├── Unauthenticated       UNAUTHENTICATED
        ├── Forbidden             FORBIDDEN
        ├── DocumentRefused       before anything ran
        │   ├── DocumentNotTrusted          DOCUMENT_NOT_TRUSTED
        │   ├── PersistedQueryNotFound      PERSISTED_QUERY_NOT_FOUND
        │   ├── PersistedQueryNotSupported  PERSISTED_QUERY_NOT_SUPPORTED
        │   └── HashMismatch                BAD_USER_INPUT
        └── TryAgain              safe to repeat
            ├── RateLimited       RATE_LIMITED
            ├── Overloaded        OVERLOADED
            ├── Timeout           TIMEOUT
            ├── SwitchedOff       SWITCHED_OFF
            └── WriteConflict     CONFLICT

In a query, where there is no payload, a UserError travels in errors[] with its own code; Invalid as BAD_USER_INPUT.
"""

from __future__ import annotations

INTERNAL_MESSAGE = "Something went wrong on our side."  # for all internal errors


class AclueError(Exception):
    """`str(error)` may be shown to the caller."""

    code = "INTERNAL_SERVER_ERROR"


class UserError(AclueError):
    """An expected outcome. `field` is the path of the input at fault, in the caller's spelling."""

    def __init__(self, message: str, field: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.field = field


class Invalid(UserError):
    code = "INVALID"


class NotFound(UserError):
    code = "NOT_FOUND"


class UserNotFound(NotFound):
    pass


class ProductNotFound(NotFound):
    def __init__(self, field: tuple[str, ...] = ("productId",)) -> None:
        super().__init__("There is no such product.", field)


class Conflict(UserError):
    code = "CONFLICT"


class IdempotencyKeyReused(Conflict):
    code = "IDEMPOTENCY_KEY_REUSED"


class Stale(UserError):
    code = "STALE"


class Expired(UserError):
    code = "EXPIRED"


class LimitReached(UserError):
    code = "LIMIT_REACHED"


class InvalidCredentials(UserError):
    code = "INVALID_CREDENTIALS"


class SecondFactorRequired(UserError):
    code = "SECOND_FACTOR_REQUIRED"


class Unavailable(UserError):
    code = "UNAVAILABLE"


class RequestError(AclueError):
    pass


class BadUserInput(RequestError):
    code = "BAD_USER_INPUT"


class Unauthenticated(RequestError):
    code = "UNAUTHENTICATED"


class Forbidden(RequestError):
    code = "FORBIDDEN"


class DocumentRefused(RequestError):
    """The document is refused, or unknown. Clients compare some of the messages verbatim."""

    message = ""

    def __init__(self) -> None:
        super().__init__(self.message)


class DocumentNotTrusted(DocumentRefused):
    code = "DOCUMENT_NOT_TRUSTED"
    message = "Only documents of the manifest run here."


class PersistedQueryNotFound(DocumentRefused):
    code = "PERSISTED_QUERY_NOT_FOUND"
    message = "PersistedQueryNotFound"


class PersistedQueryNotSupported(DocumentRefused):
    code = "PERSISTED_QUERY_NOT_SUPPORTED"
    message = "PersistedQueryNotSupported"


class HashMismatch(DocumentRefused):
    code = "BAD_USER_INPUT"
    message = "`sha256Hash` is not the SHA-256 of `query`, in hexadecimal."


class TryAgain(RequestError):
    """Nothing was stored; the same request may succeed `retry_after` seconds later."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(TryAgain):
    code = "RATE_LIMITED"


class Overloaded(TryAgain):
    code = "OVERLOADED"


class Timeout(TryAgain):
    code = "TIMEOUT"


class SwitchedOff(TryAgain):
    """By an operator, for as long as something is wrong with it."""

    code = "SWITCHED_OFF"

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after=30)


class WriteConflict(TryAgain):
    code = "CONFLICT"
