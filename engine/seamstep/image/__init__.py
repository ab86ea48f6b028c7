"""TDX module images: read, verify, convert.

``layout`` has the structure of the two formats, ``sigstruct`` the fields of the signed part, ``verify`` the checks.
``pack`` writes the two formats, ``files`` reads images from files, ``catalog`` finds the images of releases,
``published`` has the MRSEAMs of published releases.
"""
