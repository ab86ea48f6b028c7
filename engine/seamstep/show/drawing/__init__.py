"""Pictures of the version graph. Pure.

``choose`` selects the contents, ``scene`` describes them, ``layout`` places them, and a module for each format writes
them. The same scene gives the same bytes. Text in a scene may come from files; each format escapes it.
"""
