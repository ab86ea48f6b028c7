"""The foundation of all other packages: errors and exit codes, versions, feature bits, CPU lists and signatures,
bounded reading and atomic writing of files, schema checks, YAML with positions, and the files that ship with the
package. Imports no other package of seamstep.
"""
