"""`cli.py agents`: stored agents brought in and out, secrets granted to them, and files that send calls to them."""

from pathlib import Path

from tests.unit.api.test_cli import environment, invoke, own_logs

__all__ = ["own_logs", "environment"]

SHOP = """\
bot: quiet
numbers: ["+15551230177"]
greeting: One.
tools:
  - find:
      describe: Finds an order.
      http: {url: https://shop.example.com/orders, headers: {X-Key: "{secret:SHOP}"}}
"""


def test_a_stored_agent_is_imported_exported_and_granted_a_secret(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP)
    secret = {"TRUNKLINE_SECRET_SHOP": "not-a-real-one"}
    refused = invoke(environment, "agents", "import", str(file), **secret)
    assert refused.exit_code == 2
    assert (
        "tools[0].find.http.headers: the secret SHOP is not granted to this agent for shop.example.com"
        in refused.output
    )
    for wrong in (("Shop", "SHOP"), ("shop", "shop"), ("shop", "SHOP", "--host", "https://x")):
        assert invoke(environment, "agents", "grant-secret", *wrong).exit_code == 2
    granted = invoke(environment, "agents", "grant-secret", "shop", "SHOP", "--host", "shop.example.com", **secret)
    assert granted.stdout == "the stored agent shop may send the secret SHOP to shop.example.com\n"
    stored = invoke(environment, "agents", "import", str(file), **secret)
    assert stored.stdout == "shop: version 1 is stored; no version answers calls yet\n"
    file.write_text(SHOP.replace("One.", "Two."))
    stored = invoke(environment, "agents", "import", str(file), "--publish", **secret)
    assert stored.stdout == "shop: version 2 is stored; version 2 answers calls\n"
    exported = invoke(environment, "agents", "export", "shop", "--version", "1").stdout
    assert exported.startswith('bot: quiet\nnumbers:\n  - "+15551230177"\ngreeting: One.\n')
    assert "greeting: Two.\n" in invoke(environment, "agents", "export", "shop").stdout
    assert invoke(environment, "agents", "export", "shop", "--version", "9").exit_code == 2
    assert invoke(environment, "agents", "export", "nobody").exit_code == 2
    read_only = tmp_path / "front-desk.yaml"
    read_only.write_text("bot: quiet\n")
    assert "read-only here" in invoke(environment, "agents", "import", str(read_only)).output

    # A file may send calls to an agent that is stored, and the check of files knows it.
    agents = Path(environment["TRUNKLINE_AGENTS_DIR"])
    rules = 'routes:\n  - numbers: ["+15551230199"]\n    default: {agent: NAME}\n'
    (agents / "routing.yaml").write_text(rules.replace("NAME", "shop"))
    assert invoke(environment, "agents", "check", **secret).exit_code == 0
    (agents / "routing.yaml").write_text(rules.replace("NAME", "shoop"))
    assert "did you mean 'shop'?" in invoke(environment, "agents", "check", **secret).output
    (agents / "routing.yaml").unlink()

    assert invoke(environment, "agents", "withdraw-secret", "shop", "SHOP").exit_code == 0
    assert invoke(environment, "agents", "withdraw-secret", "shop", "SHOP").exit_code == 2


MISSING = "there is no secret CRM; set TRUNKLINE_SECRET_CRM, correct the name, or remove the line to have one made"
UNFIT = "the secret CRM must begin with whsec_; make one with: openssl rand -base64 32, and write whsec_ before it"


def test_a_webhook_that_cannot_be_signed_is_named_wherever_agents_are_read(environment: dict[str, str]) -> None:
    webhooks = 'webhooks: [{url: "https://crm.example.com/calls", secret: {secret: CRM}}]\n'
    file = Path(environment["TRUNKLINE_AGENTS_DIR"]) / "told.yaml"
    file.write_text(f"bot: quiet\n{webhooks}")
    good = {"TRUNKLINE_SECRET_CRM": "whsec_" + "a2V5" * 8}
    assert invoke(environment, "agents", "check", **good).exit_code == 0
    for change, problem in (({}, MISSING), ({"TRUNKLINE_SECRET_CRM": "hunter2"}, UNFIT)):
        for command in (("agents", "check"), ("doctor",), ("serve",)):
            result = invoke(environment, *command, **change)
            assert result.exit_code == (1 if command == ("doctor",) else 2), command
            assert f"webhooks[0].secret: {problem}" in " ".join(result.output.split()), command
            assert "hunter2" not in result.output
    # A stored agent: of a secret that it was not granted nobody learns whether there is one.
    shop = file.rename(file.parent.parent / "shop.yaml")
    shop.write_text(f"bot: quiet\n{webhooks}")
    refused = invoke(environment, "agents", "import", str(shop))
    assert "the secret CRM is not granted to this agent for crm.example.com" in refused.output
    invoke(environment, "agents", "grant-secret", "shop", "CRM", "--host", "crm.example.com")
    refused = invoke(environment, "agents", "import", str(shop))
    assert (refused.exit_code, f"webhooks[0].secret: {MISSING}" in refused.output) == (2, True)
    assert invoke(environment, "agents", "import", str(shop), "--publish", **good).exit_code == 0
    # And later, when the variable is gone: whoever checks is told.
    for command in (("agents", "check"), ("doctor",)):
        result = invoke(environment, *command)
        assert result.exit_code != 0
        assert f"stored agent shop: webhooks[0].secret: {MISSING}" in " ".join(result.output.split())
    assert invoke(environment, "agents", "check", **good).exit_code == 0
