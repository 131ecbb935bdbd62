"""HTML, built so that text is escaped unless it is HTML already."""

from html import escape


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


EMPTY = frozenset({"br", "img", "meta", "link"})
"""Elements without an end."""


def element(tag: str, *children: str, **attributes: str | bool) -> Html:
    """Return an element.

    Parameters
    ----------
    tag
        Its name.
    children
        What stands in it; text is escaped, `Html` is not.
    attributes
        By name, with ``_`` for ``-``, and ``class_`` for ``class``; true: without a value, false: left out.
    """
    opening = f"<{tag}{''.join(_attribute(name, value) for name, value in attributes.items())}>"
    return Html(opening if tag in EMPTY else f"{opening}{joined(children)}</{tag}>")


def joined(children: "tuple[str, ...] | list[str]") -> Html:
    """Return children one after the other."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))


def table(header: "list[str]", rows: "list[list[str]]", caption: str, **attributes: str) -> Html:
    """Return a table in a box of its own, which scrolls where the page is narrow; first cells are headers."""
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    body = [
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in rest))
        for first, *rest in rows
    ]
    content = element(
        "table",
        element("caption", caption),
        element("thead", head),
        element("tbody", *body),
        **attributes,
    )
    return element("div", content, class_="scroll", role="region", tabindex="0", aria_label=caption)


def folded(summary: str, *children: str, opened: bool = False) -> Html:
    """Return children that are shown when the reader asks for them."""
    return element("details", element("summary", summary), *children, open=opened)


def _attribute(name: str, value: str | bool) -> str:
    if value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
