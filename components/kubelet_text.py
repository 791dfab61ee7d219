"""Texts that pass the kubelet unchanged."""


def literal(text: str) -> str:
    """Protect a text in a container's env, command or args, where the kubelet takes ``$(NAME)`` for a reference and ``$$`` for ``$``."""
    return text.replace("$", "$$")
