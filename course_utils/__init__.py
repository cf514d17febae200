"""Helpers of *The Modelling Loop*: one module a stage of a model's life. Importing this loads none of them."""

__version__ = "0.1.0"
