"""How a client names what it reports beside its model."""

NUM_EXAMPLES, NUM_STEPS, TRAIN_LOSS, TRAIN_SECONDS = (
    "num_examples",
    "num_steps",
    "train_loss",
    "train_seconds",
)

CPU_SECONDS = "cpu_seconds"
"""Measured around the client, which need not report it."""

SHARED_STATE = "shared_state"
"""What malicious clients tell each other, bytes; see `fl_backdoor.attacks.shared_state`."""
