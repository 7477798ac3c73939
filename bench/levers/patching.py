"""Putting something else in a name's place, before the server serves."""

from typing import Any

from pydantic import BaseModel, create_model


class LeverGone(Exception):
    """A lever is not where it was: what it was called by does not exist any more."""


def replace(owner: object, name: str, new: object) -> Any:
    """Put `new` in the place of the name that a module, or a class, has; returns what was there.

    Raises:
        LeverGone: there is no such name.
    """
    if not hasattr(owner, name):
        raise LeverGone(f"{getattr(owner, '__name__', owner)} has no {name}: look for where the lever went")
    old = getattr(owner, name)
    setattr(owner, name, new)
    return old


def with_default(model: type[BaseModel], name: str, value: object) -> type[BaseModel]:
    """Return the model with another default of one field.

    Raises:
        LeverGone: there is no such field.
    """
    field = model.model_fields.get(name)
    if field is None:
        raise LeverGone(f"{model.__name__} has no field {name}: look for where the lever went")
    fields: dict[str, Any] = {name: (field.annotation, value)}
    return create_model(model.__name__, __base__=model, **fields)


def nothing(*_: object) -> None:
    """Do nothing, in the place of something that is called for its effect."""
