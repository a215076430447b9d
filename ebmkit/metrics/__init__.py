"""Measures of samples against data: tensors in, floats out."""
