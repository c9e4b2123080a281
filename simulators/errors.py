"""The error that every room raises for input that a user can mend."""


class InputError(ValueError):
    """Input that does not fit: says which file, key and value, and what is allowed.

    Args:
        message: What is wrong, in one sentence.
        file: The file it was read from, where there is one.
        key: The key path, column or argument at fault.
        value: The offending value.
        allowed: What would be accepted.
    """

    def __init__(
        self,
        message: str,
        *,
        file: object = None,
        key: str | None = None,
        value: object = None,
        allowed: str | None = None,
    ) -> None:
        self.message, self.file, self.key, self.value, self.allowed = message, file, key, value, allowed
        parts = [message]
        if file is not None:
            parts.insert(0, f"{file}:")
        if key is not None:
            parts.append(f"[{key} = {value!r}]" if value is not None else f"[{key}]")
        if allowed is not None:
            parts.append(f"(allowed: {allowed})")
        super().__init__(" ".join(parts))
