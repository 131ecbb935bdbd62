"""A Flower app as anybody may have it, run by Flower's own simulation; prints what came of it as JSON.

Nothing of the bench is in it but the strategy.
"""

import json
import sys

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Result
from flwr.simulation import run_simulation

from strategies import Hybrid

ROUNDS, CLIENTS = 2, 3
client_app, server_app = ClientApp(), ServerApp()


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """Take two steps of one at rate 0.5: client 2 goes ten times as far."""
    weight = message.content["arrays"]["weight"].numpy()
    pull = 10.0 if context.node_config["partition-id"] == 2 else 1.0
    local = (weight - message.content["config"]["lr"] * -2 * pull).astype(np.float32)
    metrics = {"num-examples": 100, "num-steps": 2, "round": message.content["config"]["server-round"]}
    content = RecordDict({"arrays": ArrayRecord({"weight": Array(local)}), "metrics": MetricRecord(metrics)})
    return Message(content, reply_to=message)


@client_app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Return the model itself as a loss."""
    loss = float(message.content["arrays"]["weight"].numpy()[0])
    metrics = MetricRecord({"loss": loss, "num-examples": 100})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def found(result: Result) -> dict[str, object]:
    """Return what a run came to."""
    return {
        "weight": result.arrays["weight"].numpy().tolist(),
        "losses": [result.evaluate_metrics_clientapp[r]["loss"] for r in range(1, ROUNDS + 1)],
        "rounds": [result.train_metrics_clientapp[r]["round"] for r in range(1, ROUNDS + 1)],
    }


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    """Run FedAvg, and then the hybrid rule in its place."""
    nodes = {"min_train_nodes": CLIENTS, "min_evaluate_nodes": CLIENTS, "min_available_nodes": CLIENTS}
    for strategy in (
        FedAvg(**nodes),
        Hybrid(clip_gamma=1.0, clip_decay=0.5, learning_rate=0.5, **nodes),
    ):
        arrays = ArrayRecord({"weight": Array(np.zeros(1, np.float32))})
        result = strategy.start(grid, arrays, ROUNDS, train_config=ConfigRecord({"lr": 0.5}))
        print("RESULT", json.dumps(found(result)), file=sys.stdout, flush=True)


if __name__ == "__main__":
    backend = {"init_args": {"address": "local", "num_cpus": 2}, "client_resources": {"num_cpus": 1}}
    run_simulation(server_app, client_app, CLIENTS, backend_config=backend)
