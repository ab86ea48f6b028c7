"""The version graph, the paths along it, the planner that makes a plan of them, and explanations. Pure: values in,
values out. May import ``plan`` and what stands before it.
"""
