"""The columns of a run's tables; those that hold a clock have ``seconds`` in their name."""

ROUND_COLUMNS = (
    "server_round",
    "main_task_accuracy",
    "test_loss",
    "attack_success_rate",
    "success_rate",
    "diverged",
    "clean_main_task_accuracy",
    "clean_attack_success_rate",
    "clean_success_rate",
    "model_updated",
    "num_participants",
    "num_replies",
    "num_rejected",
    "num_malicious",
    "num_filtered",
    "num_clipped",
    "num_flagged",
    "true_positives",
    "false_positives",
    "true_positive_rate",
    "false_positive_rate",
    "client_true_positives",
    "client_false_positives",
    "client_true_positive_rate",
    "client_false_positive_rate",
    "train_seconds",
    "aggregate_seconds",
    "evaluate_seconds",
)
"""A row a round in ``rounds.csv``; round 0 is the evaluation of the initial model.

`diverged` is empty, or why the model cannot be used, see `metrics.divergence`. Detection in this round is
over client-rounds; with ``client_`` before it, over clients and all rounds so far, see `metrics.detection`.
"""

ADDED_COLUMNS = ("diverged", *(name for name in ROUND_COLUMNS if name.startswith("client_")))
"""Those that tables of earlier versions lack."""

CLIENT_COLUMNS = (
    "server_round",
    "client_id",
    "malicious",
    "attacking",
    "rejected",
    "num_examples",
    "num_steps",
    "train_loss",
    "update_norm",
    "gradient_norm",
    "mean_distance",
    "weight",
    "clip_coefficient",
    "filtered",
    "flagged",
    "train_seconds",
)
"""A row per client and round in ``clients.csv``; `rejected` is empty, or why the reply was not used."""

ACCURACY_COLUMNS = ("main_task_accuracy", "attack_success_rate", "success_rate")
"""What a round is judged by: shares in [0, 1]."""
