"""Stages that work on batches."""
