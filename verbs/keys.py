"""`cli.py keys`: API keys made, listed, rotated and revoked."""

from typing import Annotated

import typer

from verbs.ground import load_settings, stop, with_database

verbs = typer.Typer(help="API keys for /v1.", no_args_is_help=True)


@verbs.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who or what the key is for.")],
    scope: Annotated[list[str], typer.Option(help="What it is good for, as calls:read; repeat it.")],
    days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="How long it is good; for ever if left out.")
    ] = None,
    agent: Annotated[list[str] | None, typer.Option(help="The only agent it may see and use; repeat it.")] = None,
) -> None:
    """Make an API key and print it, once."""
    from storage.key_desk import create_key
    from storage.keys import BadKeyName, UnknownScope

    try:
        print(with_database(create_key(load_settings(log_level="WARNING"), name, scope, days, agent or ())))
    except (UnknownScope, BadKeyName) as error:
        stop(str(error), 2)


@verbs.command("list")
def list_keys() -> None:
    """Print the API keys there are: their ids and what they are good for, never the keys."""
    from storage.key_desk import list_keys as listed

    print(with_database(listed(load_settings(log_level="WARNING"))))


@verbs.command("rotate")
def rotate(
    key_id: Annotated[str, typer.Argument(help="The key's id: what follows tk_ in it.")],
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=720, help="How long the secret that it has now stays good.")
    ] = 24,
) -> None:
    """Give an API key a new secret and print it, once; the old one stays good for a while."""
    from storage.key_desk import rotate_key
    from storage.keys import KeyExpired, KeyRevoked, NoSuchKey

    try:
        print(with_database(rotate_key(load_settings(log_level="WARNING"), key_id, overlap_hours)))
    except NoSuchKey:
        stop(f"there is no API key with the id {key_id}; cli.py keys list names them", 2)
    except (KeyRevoked, KeyExpired):
        stop(f"the API key {key_id} is good for nothing any more; make another one: cli.py keys create", 2)


@verbs.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id: what follows tk_ in it.")]) -> None:
    """Make an API key useless, at once."""
    from storage.key_desk import revoke_key

    if not with_database(revoke_key(load_settings(log_level="WARNING"), key_id)):
        stop(f"there is no API key with the id {key_id}; cli.py keys list names them", 2)
    print(f"the API key {key_id} is good for nothing from now on")
