"""The journal: an append-only record of runs, one JSON object to a line, in a folder that only its owner may read.

- A record is on disk when :meth:`Journal.append` returns.
- Reading never fails over a file's content: each line that is a record counts, any other is reported as a problem.
- The last line may be torn, because the machine can stop in the middle of a write. The next writer ends such a line and
  adds a ``torn`` record.
- Every record says which host it is about. A state folder may hold records of several, such as of rehearsals on
  simulated hosts; a run reads and settles those of its own host only.
- Lines that are broken otherwise were written by another program. Such a file is moved aside under a name with a time
  stamp, and still read.
"""

from seamstep.run.journal.reading import NAME, History, open_folder, read
from seamstep.run.journal.record import SCHEMA, Record
from seamstep.run.journal.recorded_host import RecordedHost, recorded_host
from seamstep.run.journal.writing import Journal

__all__ = ["NAME", "SCHEMA", "History", "Journal", "Record", "RecordedHost", "open_folder", "read", "recorded_host"]
