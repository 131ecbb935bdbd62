"""A small Transformer encoder for sentences; 1,320,450 parameters on SST-2.

A. Vaswani et al., Attention Is All You Need, NeurIPS 2017, https://arxiv.org/abs/1706.03762, sections 3.1 to
3.3 and 5.4, classified by a token of its own as in J. Devlin et al., BERT, NAACL 2019,
https://arxiv.org/abs/1810.04805, section 3; of the size of BERT-Tiny (I. Turc et al., Well-Read Students
Learn Better, 2019, https://arxiv.org/abs/1908.08962). Deviation: normalised before each part of a layer, not
after, which trains without a warm-up (R. Xiong et al., On Layer Normalization in the Transformer
Architecture, ICML 2020, https://arxiv.org/abs/2002.04745).
"""

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn

from fl_backdoor.core.types import Positive, PositiveCount, Share
from fl_backdoor.data.encoding import PADDING, Encoding


class Transformer(nn.Module):
    """Layers of attention over the words of a sentence and a class token, which is classified.

    Parameters
    ----------
    encoding
        Says how many words there are, and how long sentences may be.
    num_classes
        Number of classes.
    dimension
        Size of an embedding, a multiple of `heads`; the dense layers have four times as many units.
    depth
        Number of layers.
    heads
        Number of heads of attention in each layer.
    dropout
        Share of embeddings, of attention and of what each part of a layer returns that training leaves out.
    spread
        Standard deviation of embeddings before training.

    Raises
    ------
    ValueError
        If heads do not share out the dimension.
    """

    def __init__(
        self,
        encoding: Encoding,
        num_classes: int,
        *,
        dimension: PositiveCount = 128,
        depth: PositiveCount = 2,
        heads: PositiveCount = 2,
        dropout: Share = 0.1,
        spread: Positive = 0.02,
    ) -> None:
        super().__init__()
        if dimension % heads:
            raise ValueError(f"dimension must be a multiple of the {heads} heads, not {dimension}")
        self.embedding = nn.Embedding(encoding.num_ids, dimension)
        self.class_token = nn.Parameter(torch.empty(dimension))
        self.places = nn.Parameter(torch.empty(1 + encoding.num_tokens, dimension))
        for drawn in (self.embedding.weight, self.class_token, self.places):
            nn.init.normal_(drawn, std=spread)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dimension, heads, 4 * dimension, dropout, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dimension)
        self.classifier = nn.Linear(dimension, num_classes)

    def forward(self, sentences: torch.Tensor) -> torch.Tensor:
        """Map numbers of words, int32 ``(n, up to num_tokens)``, to logits ``(n, num_classes)``."""
        # The class token is never padding: a sentence without words has something to attend to.
        is_padding = F.pad(sentences == PADDING, (1, 0), value=False)
        words = self.embedding(sentences)
        class_tokens = self.class_token.expand(len(sentences), 1, -1)
        hidden = torch.cat([class_tokens, words], dim=1) + self.places[: is_padding.shape[1]]
        hidden = self.dropout(hidden)
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=is_padding)
        logits: torch.Tensor = self.classifier(self.norm(hidden[:, 0]))
        return logits
