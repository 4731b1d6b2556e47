"""What the owner has chosen, kept in `settings.json`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import write_atomically


class Settings(BaseModel):
    """The owner's choices; unknown fields of newer versions are kept out, missing ones take their defaults."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sharing: bool = True

    @staticmethod
    def load(path: Path) -> Settings:
        """Reads the file; a missing one means defaults.

        Raises:
            UserFacingError: the file exists and is not readable as settings; it is left as it is.
        """
        try:
            return Settings.model_validate_json(path.read_text("utf-8"))
        except FileNotFoundError:
            return Settings()
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise UserFacingError(
                f"{path} cannot be read as settings.",
                "Mend it, or move it away to start with defaults.",
                code="bad-settings",
            ) from error

    def save(self, path: Path) -> None:
        """Replaces the file, whole or not at all."""
        write_atomically(path, self.model_dump_json(indent=2).encode())
