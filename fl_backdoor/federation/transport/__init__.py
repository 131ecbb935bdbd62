"""How the global model reaches the clients, and their updates the server's matrix.

Between machines both travel in Flower's messages. On one host they lie in memory that server and workers
share: the model is written once a round, and each update straight into its row of the matrix that the
strategies work on. The results are the same, bit for bit.
"""
