"""Stages and sources of index blocks: which samples come, and in which order."""
