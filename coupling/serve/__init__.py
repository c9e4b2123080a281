"""What the live page and the viewer have in common: who may ask, how answers are guarded, files that pages load."""
