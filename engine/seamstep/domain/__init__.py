"""The values that the field talks of: releases, images, steps, verdicts, host facts, and the mapping file. May import
``base``.
"""
