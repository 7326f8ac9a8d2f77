"""A model's weights as bytes, in the format of safetensors, and back."""

import json
from functools import lru_cache

import safetensors.torch
import torch
from torch.overrides import TorchFunctionMode

from dicp.checks import checked
from dicp.config import Config, ModelConfig, WorldConfig
from dicp.models import Model, new_model
from dicp.store import StoreError, one_line

__all__ = ["CheckpointError", "as_bytes", "model_of"]

class CheckpointError(StoreError):
    """Weights or a training state that cannot be used. The message names the file and the fault."""


@checked
def as_bytes(model: Model) -> bytes:
    """Its weights as a safetensors file; `CheckpointError` unless they are finite float32."""
    weights = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    _check_finite(weights, "the model")
    for name, value in weights.items():
        if value.is_floating_point() and value.dtype != torch.float32:
            held = f"{name} as {value.dtype}"
            raise CheckpointError(f"the model holds {held}; allowed: torch.float32.")
    return safetensors.torch.save(weights)


@checked
def model_of(config: Config, data: bytes, where: str) -> Model:
    """The model of `config` with these weights, in eval mode; `CheckpointError`, naming `where`
    they are from, unless they have the names, types and shapes that the config asks for and are
    finite. The header is compared before a model is made."""
    wanted, found = _forms(config.env, config.model), _header(data, where)
    for name in sorted(wanted.keys() | found.keys()):
        if found.get(name) != wanted.get(name):
            got, asked = (forms.get(name, "missing") for forms in (found, wanted))
            what = f"{where} holds weights of another architecture than its config"
            raise CheckpointError(f"{what}: {name} is {got} there, {asked} by the config.")
    try:
        weights = safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        why = one_line(error)
        raise CheckpointError(f"{where} is not a whole safetensors file ({why}).") from error
    _check_finite(weights, where)
    model = new_model(config.env, config.model)
    model.load_state_dict(weights)
    return model.eval()


@lru_cache(maxsize=64)
def _forms(env: WorldConfig, config: ModelConfig) -> dict[str, str]:
    """The type and the shape of each tensor of a model that is not made: PyTorch's meta device has
    no memory."""
    with torch.device("meta"), _Uninitialized():
        weights = new_model(env, config).state_dict()
    types = {True: "F32", False: "I64"}
    return {name: f"{types[x.is_floating_point()]} {list(x.shape)}" for name, x in weights.items()}


class _Uninitialized(TorchFunctionMode):
    """Without initial weights: on the meta device some of them would cost the import of PyTorch's
    compiler, two seconds."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


def _header(data: bytes, where: str) -> dict[str, str]:
    """The type and the shape of each tensor of a safetensors file."""
    try:
        end = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:end].decode("utf-8"))
        header.pop("__metadata__", None)
        return {name: f"{x['dtype']} {x['shape']}" for name, x in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = one_line(error)
        raise CheckpointError(f"{where} is not a whole safetensors file ({why}).") from error


def _check_finite(weights: dict, what: str) -> None:
    for name, value in weights.items():
        if not value.isfinite().all():
            raise CheckpointError(
                f"{what} holds numbers that are not finite, in {name}; allowed: finite weights."
            )
