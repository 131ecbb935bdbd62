"""The bench's side of Flower: client app, messages, transport, evaluation, rounds. Knows no engine."""
