"""Durable Functions: an event-sourced task hub that drives the real Python SDK out of process."""
