"""The kernel of a made-up host for the units: plain files install nothing, so a simulated host answers for the upload
node. Python imports this as ``sitecustomize``; ``served`` has the drop-in that names its folder."""

import json
from pathlib import Path

import standin

standin.put_kernel(json.loads(Path(__file__).with_name("modules.json").read_text()))
