"""Composition-neutral training: a step sees exactly the examples of its global batch, whatever their lengths."""
