"""What the operator decides: settings from the environment and one YAML file per agent, checked before a port opens."""
