"""`cli.py webhooks`: what receivers were told, telling it again, and the secrets that were made for them."""

import time
from typing import Annotated, Literal

import typer

from verbs.ground import load_settings, stop, with_database

verbs = typer.Typer(help="Webhooks: what receivers were told of calls.", no_args_is_help=True)

_LOOK_SECS = 2.0


@verbs.command("list")
def list_deliveries(
    status: Annotated[Literal["pending", "delivered", "dead"] | None, typer.Option(help="Only these.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only of this agent's calls.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
) -> None:
    """Print deliveries, newest first: when, id, event, how it stands, attempts, agent, receiver, what went wrong."""
    from aftercall.webhook_desk import list_deliveries as listed

    print(with_database(listed(load_settings(log_level="WARNING"), status, agent, limit)))


@verbs.command("replay")
def replay(delivery_id: Annotated[str, typer.Argument(help="The delivery's id, as `list` shows it.")]) -> None:
    """Have a message sent again by the running server, under the same webhook-id."""
    from aftercall.webhook_desk import NoSuchDelivery, replay_delivery

    try:
        print(with_database(replay_delivery(load_settings(log_level="WARNING"), delivery_id)))
    except NoSuchDelivery as error:
        stop(str(error), 2)


@verbs.command("tail")
def tail() -> None:
    """Print the last ten deliveries, and from then on each new one, until Ctrl-C."""
    from aftercall.webhook_desk import Tail, as_line

    deliveries = Tail(load_settings(log_level="WARNING"))
    try:
        while True:
            for row in with_database(deliveries.look()):
                print(as_line(row), flush=True)
            time.sleep(_LOOK_SECS)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@verbs.command("secrets")
def secrets() -> None:
    """Print the secrets that were made for receivers that were given none."""
    from aftercall.webhook_desk import list_secrets

    print(with_database(list_secrets(load_settings(log_level="WARNING"))))
