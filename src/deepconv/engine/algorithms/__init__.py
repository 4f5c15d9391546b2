"""The algorithms, one file each; `engine.choice` puts them in order."""
