"""One number for a finished run, for sweepers that search for the best settings."""

from pathlib import Path

from fl_backdoor.core import table
from fl_backdoor.runs import runs


def objective(folder: Path, figure: str, detection_bound: float | None) -> float:
    """Return what a sweeper is to make as large as possible.

    Parameters
    ----------
    folder
        The run's folder.
    figure
        A figure of ``rounds.csv``; its value after the last round counts.
    detection_bound
        A run in which a larger share of the attackers' updates (client-rounds) was flagged counts as a
        failure, the worse the larger that share; None: no bound.

    Returns
    -------
    float
        The figure, or the bound minus the share of flagged attackers, which is negative. NaN if the run was
        not finished, has diverged or does not know the figure: sweepers count that as failed.
    """
    run = runs.read(folder)
    found = run.final(figure)
    if run.status != "finished" or found is None:
        return float("nan")
    # Where nobody attacks there is nobody to be detected.
    detected = table.number(run.summary.get("true_positive_rate")) or 0.0
    if detection_bound is not None and detected > detection_bound:
        return detection_bound - detected
    return found
