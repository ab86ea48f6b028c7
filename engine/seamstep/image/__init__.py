"""TDX module images: read, verify, convert.

``layout`` knows where things are, ``sigstruct`` what the signed part says, ``verify`` judges, ``pack`` writes the two
formats, ``files`` puts them to work on files.
"""
