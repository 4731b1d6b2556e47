"""The models of this machine: taken in from files, verified, listed with their licences, and thrown out again.

It reads headers and copies bytes, and never runs or unpacks what is in them: that happens in worker processes
(`runtimes/`). Models in Python's pickle format are refused, as loading one runs its author's code.
"""

from depin_desktop.services.compute.models.formats import Model
from depin_desktop.services.compute.models.library import Models
from depin_desktop.services.compute.models.shipped import shipped_models

__all__ = ["Model", "Models", "shipped_models"]
