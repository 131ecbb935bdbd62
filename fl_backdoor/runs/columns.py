"""The columns of a run's tables; those that hold a clock have ``seconds`` in their name."""

LATER_FIGURES = ("robust_accuracy", "mean_client_accuracy", "worst_tenth_client_accuracy")
"""Shares in [0, 1] that a round is not judged by; see `metrics.backdoor` and `metrics.by_class`."""

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
    *LATER_FIGURES,
    "learning_rate",
)
"""A row a round in ``rounds.csv``; round 0 is the evaluation of the initial model.

`diverged` is empty, or why the model cannot be used, see `metrics.divergence`. Detection in this round is
over client-rounds; with ``client_`` before it, over clients and all rounds so far, see `metrics.detection`.
`learning_rate` is that of benign clients in the round, under the schedule.
"""

ADDED_COLUMNS = (
    "diverged",
    *(name for name in ROUND_COLUMNS if name.startswith("client_")),
    *LATER_FIGURES,
    "learning_rate",
)
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
    "cpu_seconds",
)
"""A row per client and round in ``clients.csv``; `rejected` is empty, or why the reply was not used."""

ADDED_CLIENT_COLUMNS = ("cpu_seconds",)
"""Those that tables of earlier versions lack."""

CLASS_ACCURACY = "class_accuracy.csv"
"""A row a round with the accuracy on clean test samples of each class, a column a class."""

ACCURACY_COLUMNS = ("main_task_accuracy", "attack_success_rate", "success_rate")
"""What a round is judged by: shares in [0, 1]."""
