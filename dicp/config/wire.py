"""What fields are called in keys and in older files: a field may get a better name, but weights and
results keep theirs, which are made of the first one."""

from typing import Any

OLD_NAMES = {
    "target": "imitates", "n_forget_episodes": "forgets", "return_conditioned": "asks_return",
}
NEW_NAMES = {old: new for new, old in OLD_NAMES.items()}
# fields that older files have, and that nothing reads any more
GONE = ("any_cell_may_pay",)


def old_name(field: str) -> str:
    """Of a field of a config or of a run, as keys are made of it."""
    return OLD_NAMES.get(field, field)


def new_name(field: str) -> str:
    """Of a field, as a file has it: under its old name or its new one."""
    return NEW_NAMES.get(field, field)


def with_old_names(run: Any) -> dict[str, Any]:
    """What a `runs.Run` says that is not the default, as the name of its file is made of it."""
    model = tuple((old_name(field), value) for field, value in run.model)
    said = run._replace(model=model)._asdict().items()
    return {old_name(name): x for name, x in said if x != run._field_defaults.get(name)}
