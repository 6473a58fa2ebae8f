"""Model weights on this machine: which are known, which are installed, and how they get here.

Pulling is the only code of this package that opens a connection.
"""

from local_retab.weights.catalogue import Catalogue, ModelEntry, ModelFile
from local_retab.weights.files import Progress
from local_retab.weights.manifest import InstalledModel
from local_retab.weights.store import Store

__all__ = ["Catalogue", "InstalledModel", "ModelEntry", "ModelFile", "Progress", "Store"]
