"""A small model of sentences: the mean of the embeddings of their words, and a linear layer.

A. Joulin, E. Grave, P. Bojanowski, T. Mikolov, Bag of Tricks for Efficient Text Classification, EACL 2017,
https://arxiv.org/abs/1607.01759, section 2, without its n-grams and its hierarchical softmax.
"""

import torch
from torch import nn

from fl_backdoor.core.types import Positive, PositiveCount
from fl_backdoor.data.encoding import PADDING, Encoding


class MeanEmbedding(nn.Module):
    """One embedding a word, averaged over the words of a sentence, whatever its padding.

    Parameters
    ----------
    encoding
        Says how many words there are.
    num_classes
        Number of classes.
    dimension
        Size of an embedding.
    spread
        Standard deviation of the embeddings before training.
    """

    def __init__(
        self,
        encoding: Encoding,
        num_classes: int,
        *,
        dimension: PositiveCount = 32,
        spread: Positive = 0.1,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(encoding.num_ids, dimension)
        nn.init.normal_(self.embedding.weight, std=spread)
        self.classifier = nn.Linear(dimension, num_classes)

    def forward(self, sentences: torch.Tensor) -> torch.Tensor:
        """Map numbers of words, int32 ``(n, num_tokens)``, to logits ``(n, num_classes)``."""
        is_word = (sentences != PADDING).unsqueeze(-1)
        # Whatever a defence has moved the row of padding to, it counts for nothing.
        total = (self.embedding(sentences) * is_word).sum(dim=1)
        logits: torch.Tensor = self.classifier(total / is_word.sum(dim=1).clamp(min=1))
        return logits
