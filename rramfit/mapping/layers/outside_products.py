"""Products with a layer's weight that the layer does not compute itself.

A network can multiply by the weight of a layer without calling the layer, as in
``F.linear(x, self.encoder.weight.T)``. No conversion of layers puts such a product on tiles: it
stays digital, and is named. One sample is run, and every call of a product of PyTorch with a
layer's weight, or a view of it, outside of the layer's forward is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["OutsideProducts"]

_MATMUL = {"matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "addmm", "baddbmm"}
_CONVOLUTIONS = {f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)}
_PRODUCTS = {"linear", "bilinear", "einsum", "tensordot", "inner"} | _CONVOLUTIONS | _MATMUL


class OutsideProducts(TorchFunctionMode):
    """Context that counts operations with layers' weights outside of the layers.

    Attributes
    ----------
    operations : dict of str to int
        By the name of the layer.
    """

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.operations: dict[str, int] = {}
        self._owner = {
            p.untyped_storage().data_ptr(): name
            for name, layer in layers.items()
            for p in layer.parameters()
            if p.ndim > 1 and p.numel()
        }
        self._inside = 0
        self._handles = [
            handle
            for layer in layers.values()
            for handle in (
                layer.register_forward_pre_hook(self._enter),
                layer.register_forward_hook(self._leave, always_call=True),
            )
        ]

    def _enter(self, *_: object) -> None:
        self._inside += 1

    def _leave(self, *_: object) -> None:
        self._inside -= 1

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if self._inside or name not in _PRODUCTS or not isinstance(out, Tensor):
            return out
        for tensor in _tensors((*args, *(kwargs or {}).values())):
            owner = self._owner.get(tensor.untyped_storage().data_ptr())
            if owner is not None and tensor.ndim > 1:
                count = out.numel() * _terms(name, tensor, first=tensor is args[0])
                self.operations[owner] = self.operations.get(owner, 0) + count
        return out


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)


def _terms(name: str, weight: Tensor, *, first: bool) -> int:
    """Return the number of products in one output; weights are (output, ...) except in `matmul`."""
    if name not in _MATMUL:
        return weight.numel() // max(len(weight), 1)
    return weight.shape[-1 if first else -2]
