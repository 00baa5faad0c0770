"""Mini-batches for training neural networks, as a toolkit of iterator combinators."""
