"""What every part of a recipe is: frozen, of strict types, without a key that nobody knows."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A part of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
