"""The values of the domain: releases, images, steps, verdicts, host facts, the mapping file. May import ``base``."""
