"""An LSTM that reads a sentence, and a linear layer; 2,073,202 parameters on SST-2.

S. Hochreiter, J. Schmidhuber, Long Short-Term Memory, Neural Computation 9(8), 1997, with the forget gate of
F. Gers et al., Learning to Forget, 2000. The sizes are those of Z. Zhang et al., Neurotoxin: Durable
Backdoors in Federated Learning, ICML 2022, https://github.com/jhcknzzm/Federated-Learning-Backdoor, for
Sentiment140. Deviation: read off at the last word of a sentence, not at the last place of its padding.
"""

import torch
from torch import nn

from fl_backdoor.core.types import PositiveCount, Share
from fl_backdoor.data.encoding import PADDING, Encoding


class LSTM(nn.Module):
    """Layers of LSTM, from the first word to the last; the state at the last word is classified.

    Parameters
    ----------
    encoding
        Says how many words there are.
    num_classes
        Number of classes.
    dimension
        Size of an embedding.
    hidden
        Size of a state.
    depth
        Number of layers.
    dropout
        Share of what each layer but the last returns, and of the state that is classified, that training
        leaves out.
    """

    def __init__(
        self,
        encoding: Encoding,
        num_classes: int,
        *,
        dimension: PositiveCount = 200,
        hidden: PositiveCount = 200,
        depth: PositiveCount = 2,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(encoding.num_ids, dimension)
        between = dropout if depth > 1 else 0.0
        self.lstm = nn.LSTM(dimension, hidden, depth, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden, num_classes)

    def forward(self, sentences: torch.Tensor) -> torch.Tensor:
        """Map numbers of words, int32 ``(n, num_tokens)``, to logits ``(n, num_classes)``."""
        num_words = (sentences != PADDING).sum(dim=1)
        states, _ = self.lstm(self.embedding(sentences))
        # Padding comes after the words: what the LSTM makes of it is not read. No packing, whose lengths
        # would have to come back from a GPU in the middle of a step.
        last = (num_words - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, states.shape[2])
        state = states.gather(1, last).squeeze(1) * (num_words > 0).unsqueeze(1)
        logits: torch.Tensor = self.classifier(self.dropout(state))
        return logits
