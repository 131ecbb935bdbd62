"""Numbers as a reader reads them."""


def percent(share: float) -> str:
    """Write a share as ``95.2 %``; the space does not break."""
    return f"{100 * share:.1f}\u00a0%"


def points(share: float) -> str:
    """Write a difference of shares in percentage points, without a unit."""
    return f"{100 * share:.1f}".removesuffix(".0")


def counted(number: int, thing: str) -> str:
    """Write how many there are: ``1 seed``, ``3 seeds``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
