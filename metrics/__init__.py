"""Numbers from tensors: image similarity, neighbours, rates and their intervals. Imports nothing of ours."""
