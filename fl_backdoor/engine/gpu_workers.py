"""How many workers share the GPUs of a machine.

A client's batches are too small to fill a large GPU, so several clients are trained on it side by side, each
in a process of its own. Without CUDA MPS the GPU serves these processes in turns, and they gain while one
waits for its processor; with MPS their kernels run at the same time. To switch it on, run
``nvidia-cuda-mps-control -d`` as the user who starts the program, before it starts; to switch it off,
``echo quit | nvidia-cuda-mps-control``. The program does neither.
"""

GIB = 1 << 30

MEMORY_OF_A_WORKER = 4 * GIB
"""A CUDA context, 50,000 images, and the recorded steps of ResNet-18 at batch 64, with room to spare."""

MOST_ON_A_GPU = 8
"""More take longer to start than they save."""


def gpu_workers(free_bytes: list[int], cores: int, participants: int) -> int:
    """Return how many workers share the GPUs: what memory allows, and never more than cores or participants.

    Parameters
    ----------
    free_bytes
        Free memory of each GPU. The one with the least decides: Ray gives each worker an equal share.
    cores
        Processor cores; each worker keeps one busy.
    participants
        Clients a round.

    Returns
    -------
    int
        A multiple of the number of GPUs where cores and participants allow, at least 1.
    """
    on_each = min(min(free_bytes) // MEMORY_OF_A_WORKER, MOST_ON_A_GPU, cores // len(free_bytes))
    return max(1, min(max(1, on_each) * len(free_bytes), cores, participants))


def share_of_a_gpu(num_workers: int, num_gpus: int) -> float:
    """Return the share of one GPU that each worker gets so that every worker finds a place; at most 1."""
    return 1 / -(-num_workers // num_gpus)
