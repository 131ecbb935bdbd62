"""Errors that a user can act upon: each is one line that says what, where and what is allowed."""


class FlBackdoorError(Exception):
    """Base of all errors that end a run with one line instead of a traceback."""


class ConfigError(FlBackdoorError):
    """A setting is wrong.

    Parameters
    ----------
    key
        Dotted configuration key, e.g. ``attack.alpha``.
    value
        What was found there.
    allowed
        What is allowed instead, and where useful what to do next.
    """

    def __init__(self, key: str, value: object, allowed: str) -> None:
        super().__init__(f"{key} = {value}: {allowed}")
        self.key = key
        self.value = value
        self.allowed = allowed

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[str, object, str]]:
        # Exceptions are pickled by their message alone, which this constructor does not take.
        return ConfigError, (self.key, self.value, self.allowed)


class DataError(FlBackdoorError):
    """A data set is missing, incomplete or not what it claims to be."""


class ReplyError(FlBackdoorError):
    """A client's reply cannot be used; it costs that client its place in the round."""


class NobodyAnswers(FlBackdoorError):  # noqa: N818 - it says what there is to see
    """The engine has died, or no node has said anything for as many rounds as a run puts up with."""


class Stopped(FlBackdoorError):  # noqa: N818 - it is a request, not a fault
    """The user asked a run to stop."""
