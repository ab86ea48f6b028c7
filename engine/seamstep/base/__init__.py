"""What everything rests on: errors and exit codes, versions, feature bits, CPU lists and signatures, bounded reading
and atomic writing of files, schema checks, YAML with positions, and the files that ship with the package. Imports
nothing of seamstep but itself.
"""
