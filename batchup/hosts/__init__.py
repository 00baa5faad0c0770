"""Batches in other people's training loops. Each module takes its framework, and is imported by itself.

* `batchup.hosts.torch`: PyTorch's `DataLoader` and torchdata's `StatefulDataLoader`; Accelerate, HF `Trainer`
* `batchup.hosts.lightning`: Lightning's `Trainer`
* `batchup.hosts.keras`: Keras 3's `model.fit`
"""
