"""Layers: steps of a network, each with the way back."""
