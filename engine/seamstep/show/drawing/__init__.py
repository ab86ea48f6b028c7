"""Pictures of the version graph. Pure: a scene says what is drawn, layout where, and a module for each format how.

Same scene, same bytes. All text in a scene may come from files; every format makes it harmless in its own way.
"""
