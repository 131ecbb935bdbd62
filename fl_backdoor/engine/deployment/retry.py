"""What is done about a SuperLink that does not answer: asked again, for a while, until somebody says stop."""

import ssl
import threading
from collections.abc import Callable
from itertools import chain, repeat
from typing import NoReturn

import httpx
from flwr.supercore.error import FlowerError
from flwr.supercore.retry import RetryInvoker
from flwr.supercore.retry.retry_invoker import RetryState

from fl_backdoor.core.errors import FlBackdoorError, Stopped
from fl_backdoor.core.foreign_text import cleaned

PAUSES = (0.2, 0.5, 1.0)
"""Seconds before a SuperLink is asked again for the first times; later it is asked every 2 s."""

LONGEST_PAUSE = 2.0
TELL_AFTER_SECONDS = 2.0
COMES_BACK = (httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT)

Tell = Callable[[str], None]


def retry_invoker(address: str, seconds: float | None, stop: threading.Event, tell: Tell) -> RetryInvoker:
    """Return what Flower's clients call through.

    Parameters
    ----------
    address
        The SuperLink's address, for messages.
    seconds
        How long it may be away; None: for ever.
    stop
        Ends the wait; `Stopped` is raised then.
    tell
        Told once when it is away for longer than a moment, and once when it is back.
    """
    is_away = threading.Event()

    def wait(pause: float) -> None:
        if stop.wait(pause):
            raise Stopped("asked to stop while the SuperLink was away")

    def away(state: RetryState) -> None:
        if state.elapsed_time > TELL_AFTER_SECONDS and not is_away.is_set():
            is_away.set()
            tell(f"the SuperLink at {address} does not answer; asking again every {LONGEST_PAUSE:.0f} s")

    def back(state: RetryState) -> None:
        if is_away.is_set():
            is_away.clear()
            tell(f"the SuperLink at {address} is back after {state.elapsed_time:.0f} s")

    return RetryInvoker(
        wait_gen_factory=lambda: (pause for pause in chain(PAUSES, repeat(LONGEST_PAUSE))),
        recoverable_exceptions=(httpx.TransportError, httpx.HTTPStatusError),
        max_tries=None,
        max_time=seconds,
        on_success=back,
        on_backoff=away,
        jitter=None,
        should_giveup=_is_final,
        wait_function=wait,
    )


def explained(error: httpx.HTTPError, address: str) -> FlBackdoorError:
    """Return in one line why the SuperLink at `address` cannot be used."""
    cause = _tls_cause(error)
    if cause is not None:
        return FlBackdoorError(f"{address}: TLS failed: {cause}; is this the right certificate?")
    if isinstance(error, httpx.HTTPStatusError):
        return FlBackdoorError(f"{address}: the SuperLink refuses: {_refusal(error)}")
    return FlBackdoorError(
        f"{address}: no SuperLink answers there ({cleaned(str(error)) or type(error).__name__})"
    )


def raise_explained(error: httpx.HTTPError, address: str) -> NoReturn:
    """Raise what `explained` returns."""
    raise explained(error, address) from error


def _is_final(error: Exception) -> bool:
    """Return whether asking again is of no use."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code not in COMES_BACK
    return _tls_cause(error) is not None


def _tls_cause(error: BaseException | None) -> str | None:
    """Return what OpenSSL says, if an error comes from there."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        if isinstance(error, ssl.SSLError):
            return error.reason or str(error)
        error = error.__cause__ or error.__context__
    return None


def _refusal(error: httpx.HTTPStatusError) -> str:
    """Return what a SuperLink, or whatever answers at its address, says of its refusal."""
    said = FlowerError.from_json(error.response.text)
    if said is None:
        return cleaned(f"HTTP {error.response.status_code} {error.response.reason_phrase}")
    return cleaned(f"{said.message} {said.public_details or ''}")
