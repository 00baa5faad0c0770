"""Stages that read the samples of index blocks, and how each kind of data is read."""
