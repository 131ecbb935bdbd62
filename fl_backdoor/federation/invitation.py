"""Who lives on which node: the server describes its run, each node says whom it has or why it stays away.

A node is asked before it is given any work, and again whenever it has been away. It is a `query` message of
Flower's; the reply names the clients that live on the node, or a reason in one line.
"""

from dataclasses import dataclass

from flwr.app import ConfigRecord, RecordDict

from fl_backdoor.core.foreign_text import cleaned

RECORD = "invitation"

MOST_SAMPLES = 10**9
"""Training samples that a client may claim; sums of a few thousand such claims are still exact."""


@dataclass(frozen=True)
class Invitation:
    """What a node must have in common with a run.

    Parameters
    ----------
    experiment
        The whole configuration as JSON.
    project_version
        Of this package.
    data
        What `fl_backdoor.data.fingerprint` says of the server's data.
    """

    experiment: str
    project_version: str
    data: str


@dataclass(frozen=True)
class Answer:
    """What a node says to an invitation.

    Parameters
    ----------
    client_ids
        Clients that live there; none if it stays away.
    refusal
        Why it stays away; empty: it takes part.
    num_own_samples
        How many training samples its client has of its own, as it claims, at most 10⁹; 0: a slice of the
        common data set.
    """

    client_ids: tuple[int, ...]
    refusal: str = ""
    num_own_samples: int = 0


def pack_invitation(invitation: Invitation) -> RecordDict:
    """Return the content of the message that asks a node."""
    record = ConfigRecord(
        {
            "experiment": invitation.experiment,
            "project_version": invitation.project_version,
            "data": invitation.data,
        }
    )
    return RecordDict({RECORD: record})


def unpack_invitation(content: RecordDict) -> Invitation:
    """Return what a server asks."""
    record = content.config_records[RECORD]
    return Invitation(str(record["experiment"]), str(record["project_version"]), str(record["data"]))


def pack_answer(answer: Answer) -> RecordDict:
    """Return the content of a node's reply."""
    record = ConfigRecord(
        {
            "client_ids": list(answer.client_ids),
            "refusal": answer.refusal,
            "num_own_samples": answer.num_own_samples,
        }
    )
    return RecordDict({RECORD: record})


def unpack_answer(content: RecordDict) -> Answer:
    """Return what a node says, its words `cleaned`; what makes no sense counts as staying away."""
    try:
        record = content.config_records[RECORD]
        named, refusal, claimed = record["client_ids"], record["refusal"], record["num_own_samples"]
    except KeyError as error:
        return Answer((), f"its answer lacks {error.args[0]}")
    if refusal:
        return Answer((), cleaned(str(refusal)) or "without a reason")
    client_ids = {one for one in named if type(one) is int} if isinstance(named, list) else ()
    if not client_ids:
        return Answer((), "its answer names no clients")
    num_own_samples = claimed if type(claimed) is int and claimed > 0 else 0
    if num_own_samples > MOST_SAMPLES:
        return Answer((), f"it claims {num_own_samples} samples")
    return Answer(tuple(sorted(client_ids)), num_own_samples=num_own_samples)
