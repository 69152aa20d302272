"""The folder on the PYTHONPATH of a run whose train.py saves no model; it holds nothing but `sitecustomize`."""
