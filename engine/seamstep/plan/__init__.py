"""The plan document, with apply settings, windows and measurements: the contract between what plans and what performs.
May import ``policy`` and what stands before it.
"""
