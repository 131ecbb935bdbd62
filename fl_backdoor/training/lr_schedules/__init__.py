"""How clients' learning rates change over the rounds, one way a file. Nothing here imports PyTorch."""
