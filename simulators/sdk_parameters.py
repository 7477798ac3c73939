"""Which parameters the installed Twilio SDK can send, read from its source.

Twilio ignores a parameter it does not know, so a misspelt one is a silent failure in production. The stand-in refuses
it instead, and what is known is what the SDK's own generated methods put into their request, not a list kept here.
"""

import ast
import inspect
import textwrap


def read_sdk_parameters(resource: type, operation: str) -> frozenset[str]:
    """Names of the parameters that `resource.operation` of the SDK sends.

    Args:
        resource: An SDK class such as `twilio.rest.api.v2010.account.call.CallList`.
        operation: `create`, `update` or `page`.

    Raises:
        LookupError: The method's source does not look as generated methods do.
    """
    method = getattr(resource, f"_{operation}", None) or getattr(resource, operation)
    tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    for node in ast.walk(tree):
        match node:
            case ast.Assign(
                targets=[ast.Name(id="data")],
                value=ast.Call(func=ast.Attribute(value=ast.Name(id="values"), attr="of"), args=[ast.Dict(keys=keys)]),
            ):
                names = [key.value for key in keys if isinstance(key, ast.Constant)]
                return frozenset(name for name in names if isinstance(name, str))
            case _:
                continue
    raise LookupError(f"{resource.__name__}.{operation} does not build its request with values.of")
