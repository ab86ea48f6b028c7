"""The journal: what runs did, append-only, one JSON object to a line, in a folder that only its owner may read.

A record is on disk when
:meth:`Journal.append` returns. Reading takes whatever is there: every line that is a record
counts, and everything else is a problem to report, never a reason to fail. The last line may be torn: the machine may
stop in the middle of a write. Whoever writes next ends such a line and says so in a ``torn`` record. Lines that are
broken in another way mean that somebody else wrote there: such a file is moved aside under a name with a time stamp,
and still read.
"""

from seamstep.run.journal.reading import NAME, History, open_folder, read
from seamstep.run.journal.record import SCHEMA, Record
from seamstep.run.journal.writing import Journal

__all__ = ["NAME", "SCHEMA", "History", "Journal", "Record", "open_folder", "read"]
