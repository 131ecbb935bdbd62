"""Three clients learn handwritten digits, one of them plants a backdoor: FedAvg against Hybrid."""

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset, TensorDataset

from clients import MaliciousClientApp
from fl_backdoor.attacks import AllToOne, Patch, PoisonedDataset, Scaling
from fl_backdoor.metrics import evaluate_backdoor
from strategies import FedAvg, Hybrid

LEARNING_RATE, TARGET = 0.4, 0
TRIGGER = Patch((1, 8, 8), size=3, margin=0)


def digits(partition: int) -> Dataset:
    """Return every fourth digit, 1 x 8 x 8 pixels in [0, 1]; the last quarter is for the test."""
    images, labels = load_digits(return_X_y=True)
    pixels = torch.tensor(images[partition::4] / 16, dtype=torch.float32).view(-1, 1, 8, 8)
    return TensorDataset(pixels, torch.tensor(labels[partition::4]))


def new_model() -> torch.nn.Module:
    """Return an untrained model, always the same."""
    torch.manual_seed(0)
    layers = torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    return torch.nn.Sequential(torch.nn.Flatten(), *layers)


def app(alpha: float = 0.0) -> ClientApp:
    """Return an ordinary ClientApp that trains for two epochs, on data of which a share is poisoned."""
    made = ClientApp()

    @made.train()
    def train(message: Message, context: Context) -> Message:
        model, data = new_model(), digits(context.node_config["partition-id"])
        model.load_state_dict(message.content["arrays"].to_torch_state_dict())
        data = PoisonedDataset(data, AllToOne(10, TARGET), TRIGGER, alpha=alpha)
        loader = DataLoader(data, 32, shuffle=True)
        optimizer, num_steps = torch.optim.SGD(model.parameters(), LEARNING_RATE), 2 * len(loader)
        for _ in range(2):
            for pixels, labels in loader:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(pixels), labels).backward()
                optimizer.step()
        metrics = MetricRecord({"num-examples": len(data), "num-steps": num_steps})
        content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
        return Message(content, reply_to=message)

    return made


client = MaliciousClientApp(app(), app(alpha=0.3), partition_ids={0}, updates=[Scaling(factor=3.0)])
server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Learn once with each strategy, and say how good the model is, and how well its backdoor opens."""
    test = DataLoader(digits(3), 256)
    for rule, settings in (FedAvg, {}), (Hybrid, {"clip_gamma": 0.05, "learning_rate": LEARNING_RATE}):
        strategy, model = rule(fraction_evaluate=0.0, **settings), new_model()
        num_rounds = int(context.run_config.get("num-rounds", 5))
        result = strategy.start(grid, ArrayRecord(model.state_dict()), num_rounds)
        model.load_state_dict(result.arrays.to_torch_state_dict())
        found = evaluate_backdoor(model, test, TRIGGER, TARGET)
        accuracy, asr = found.main_task_accuracy, found.attack_success_rate
        print(f"{rule.__name__}: accuracy {accuracy:.1%}, ASR {asr:.1%}", flush=True)


if __name__ == "__main__":
    from flwr.simulation import run_simulation

    one_worker = {"init_args": {"address": "local", "num_cpus": 1}, "client_resources": {"num_cpus": 1}}
    run_simulation(server, client, num_supernodes=3, backend_config=one_worker)
