"""Steps of the kinds that the program has none of yet, a few lines each."""

import numpy as np

from strategies.base import Aggregation
from strategies.chain.kinds import ChoiceStep, ModelStep, UpdateStep
from strategies.chain.rows import Change, Choice


class Pairs(UpdateStep):
    """Buckets of two neighbours."""

    groups_clients = True

    def change(self, clients):
        count = len(clients.updates)
        shares = np.zeros((self.rows_after(count), count))
        shares[np.arange(count) // 2, np.arange(count)] = 1
        shares /= shares.sum(axis=1, keepdims=True)
        return Change(updates=(shares @ clients.updates).astype(np.float32), shares=shares)

    def rows_after(self, count):
        return -(-count // 2)


class Shortest(ChoiceStep):
    """Leaves out the longest row."""

    def choose(self, clients):
        return Choice.of(clients.norms < clients.norms.max())


class Trust(ChoiceStep):
    """Weighs by given factors."""

    def __init__(self, factors, **flower):
        super().__init__(**flower)
        self.factors = np.array(factors, dtype=np.float64)

    def choose(self, clients):
        return Choice(self.factors, flagged=np.zeros(len(self.factors), dtype=np.bool_))


class Pull(UpdateStep):
    """Half-way to the last round's movement: centred clipping with a memory."""

    def __init__(self, **flower):
        super().__init__(**flower)
        self.last = np.float32([0])

    def change(self, clients):
        return Change(updates=(clients.updates + self.last) / 2)

    def finish(self, model, clients, aggregation: Aggregation):
        self.last = aggregation.update
        return model

    def state(self):
        return super().state() | {"last": self.last}

    def restore(self, server_round, state):
        super().restore(server_round, state)
        self.last = state["last"]


class Momentum(ModelStep):
    """The server's momentum, 1/2."""

    def __init__(self, **flower):
        super().__init__(**flower)
        self.velocity = np.float32([0])

    def finish(self, model, clients, aggregation):
        layout = self.server.layout
        of = [
            np.concatenate([array.ravel() for tensor, array in zip(layout.tensors, arrays, strict=True)
                            if tensor.is_parameter])
            for arrays in (model, clients.model)
        ]  # fmt: skip
        old = self.velocity
        self.velocity = old / 2 + (of[0] - of[1])
        return layout.moved(model, np.broadcast_to(old / 2, of[0].shape), layout.buffers(model))

    def state(self):
        return super().state() | {"velocity": self.velocity}

    def restore(self, server_round, state):
        super().restore(server_round, state)
        self.velocity = state["velocity"]


class Pruned(ModelStep):
    """Removal in every second round: small parameters are set to 0, a buffer is reset."""

    def finish(self, model, clients, aggregation):
        if clients.server_round % 2:
            return model
        return [np.where(np.abs(array) < 1, 0, array).astype(array.dtype) for array in model]
