"""The owner's wishes and a pause under way, kept in `controls.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from depin_desktop.api.controls import Pause, Wishes
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import write_atomically


class Kept(BaseModel):
    """What survives a restart."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    wishes: Wishes = Wishes()
    pause: Pause | None = None

    @staticmethod
    def load(path: Path) -> Kept:
        """Reads the file; a missing one means defaults, and wishes of newer versions are left out.

        Raises:
            UserFacingError: the file exists and cannot be understood; it is left as it is.
        """
        try:
            found: Any = json.loads(path.read_text("utf-8"))
            wishes = {name: value for name, value in found.get("wishes", {}).items() if name in Wishes.model_fields}
            return Kept.model_validate(found | {"wishes": wishes})
        except FileNotFoundError:
            return Kept()
        except (OSError, ValueError, AttributeError, TypeError, ValidationError) as error:
            raise UserFacingError(
                f"{path} cannot be read as the owner's controls.",
                "Mend it, or move it away to start with defaults.",
                code="bad-controls",
            ) from error

    def save(self, path: Path) -> None:
        """Replaces the file, whole or not at all."""
        write_atomically(path, self.model_dump_json(indent=2).encode())
