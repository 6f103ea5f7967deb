"""A fake Azure Resource Manager for the laptop: what Azure's own management SDKs speak to.

The parts every resource provider shares are here; `compute` and `recovery` are providers.
"""
