"""What a source algorithm may be asked for: numbers that stay finite,
sizes that fit into memory."""

from torch import Tensor

from dicp.checks import fits_memory
from dicp.config import SourceConfig

BYTES = 4                  # of a float32


def check_finite(update: int, source: SourceConfig, **values: Tensor) -> None:
    """Raise `FloatingPointError`, naming the first of the `values` that is not finite: what the
    agents do from then on would mean nothing. update: 0, 1, ..."""
    for name, value in values.items():
        if not value.isfinite().all():
            what = f"the {name.replace('_', ' ')} of update {update + 1} of the source"
            cure = f"try a learning_rate below {source.learning_rate:g}"
            raise FloatingPointError(f"{what} are not finite; {cure}.")


def check_given(name: str, values: Tensor, env_step: int) -> None:
    """Raise `ValueError` unless what the world gives is finite."""
    if values.is_floating_point() and not values.isfinite().all():
        what = f"The {name} that the world gives at env step {env_step}"
        raise ValueError(f"{what} is nan or infinite; allowed: finite numbers.")


def check_fits(
    source: SourceConfig, n_tasks: int, n_inputs: int, n_outputs: int, bytes_per_step: int
) -> None:
    """Raise `ValueError` if `n_tasks` agents with so many inputs and outputs, or a log of so many
    bytes an env step, would not fit into memory. Nothing was asked for yet."""
    n_nets, width = 2 * n_tasks, source.width
    n_weights = n_nets * ((n_inputs + 1 + width + n_outputs + 1) * width + n_outputs)
    with_adam = 4 * BYTES * n_weights
    fits_memory("source.width", width, with_adam, f"less, for {n_tasks} tasks together")
    activations = n_nets * source.batch_size * (4 * width + 2 * n_outputs) * BYTES
    fits_memory("source.batch_size", source.batch_size, activations, "less, or a smaller width")
    n_transitions = n_tasks * source.n_steps * source.n_streams
    experience = 2 * (n_inputs + n_outputs + 8) * BYTES * n_transitions
    fewer = f"fewer, for {n_tasks} tasks together and {source.n_streams} streams each"
    fits_memory("source.n_steps", source.n_steps, experience, fewer)
    log = bytes_per_step * n_tasks * source.n_streams * source.env_steps
    fits_memory("source.env_steps", source.env_steps, log, fewer)
