"""Everything that is printed or drawn: text, terminal, JUnit, SARIF and Prometheus formats, pictures, pages. May
import ``run`` and what stands before it; decides nothing.
"""
