"""The words of a text as people write it: lower case, punctuation marks by themselves, nothing of HTML."""

import html
import re

TAG = re.compile(r"</?[a-z][^<>]*>")
WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
"""Letters and digits, with apostrophes inside, or one mark."""


def words_of(text: str) -> list[str]:
    """Return the words of a text in their order; at least one: of a text without words, an empty one.

    >>> words_of("It&#39;s <br />GOOD, isn't it?")
    ["it's", 'good', ',', "isn't", 'it', '?']
    """
    return WORD.findall(TAG.sub(" ", html.unescape(text).lower())) or [""]
