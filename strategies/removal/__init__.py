"""Backdoors taken out of the model at the server, one paper a file: the last steps of a chain.

They work on PyTorch networks with the server's own samples: the room imports torch, the workbench, chains'
kinds of steps and the optimisers of `fl_backdoor.training`; no client, no attack and no data set.
"""
