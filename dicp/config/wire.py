"""What the fields of a `ModelConfig` are called in keys and in older files: a field may get a
better name, but weights and results keep theirs, which are made of the first one."""

from collections.abc import Mapping
from typing import Any

from dicp.checks import refuse

OLD_NAMES = {
    "target": "imitates", "n_forget_episodes": "forgets", "return_conditioned": "asks_return",
}
NEW_NAMES = {old: new for new, old in OLD_NAMES.items()}
# fields that older files have, and that nothing reads any more
GONE = ("any_cell_may_pay",)


def old_name(field: str) -> str:
    """Of a field of the model or of a run, as keys are made of it."""
    return OLD_NAMES.get(field, field)


def with_new_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as a file has them, under their old names or their new ones; `ValueError` where one is
    there under both."""
    for new, old in OLD_NAMES.items():
        if new in values and old in values:
            raise refuse(f"model.{old}", values[old], f"only {new}, which is its name now")
    return {NEW_NAMES.get(field, field): value for field, value in values.items()}


def with_old_names(run: Any) -> dict[str, Any]:
    """What a `runs.Run` says that is not the default, as the name of its file is made of it."""
    model = tuple((old_name(field), value) for field, value in run.model)
    said = run._replace(model=model)._asdict().items()
    return {old_name(name): x for name, x in said if x != run._field_defaults.get(name)}
