"""Reads and writes the quantised weights of this project's ONNX folders.

Knows the two block formats that the folders use: MatMulNBits and GatherBlockQuantized, each with 8 or
4 bits, all symmetric. Does not know what the matrices mean.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper


def load_initialisers(folder: Path) -> dict[str, np.ndarray]:
    """All initialisers of folder/model.onnx by name, external data included.

    Reads the external files itself: onnx refuses those with several hard links, which build caches make.
    """
    model = onnx.load(str(folder / "model.onnx"), load_external_data=False)
    return {tensor.name: _read(tensor, folder) for tensor in model.graph.initializer}


def _read(tensor: onnx.TensorProto, folder: Path) -> np.ndarray:
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    where = {entry.key: entry.value for entry in tensor.external_data}
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    count = int(np.prod(tensor.dims))
    return np.fromfile(folder / where["location"], dtype, count, offset=int(where.get("offset", 0))).reshape(tensor.dims)


def dequantise_8bit(quantised: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """uint8 [rows, blocks, blockSize] or [rows, columns], scales [rows, blocks] -> float32 [rows, columns]."""
    rows, blocks = scales.shape
    values = quantised.reshape(rows, blocks, -1).astype(np.float32) - 128
    return (values * scales[..., None]).reshape(rows, -1)


def quantise_8bit(weights: np.ndarray, block_size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """float32 [rows, columns] -> uint8 [rows, blocks, blockSize], float32 scales [rows, blocks].

    Scales are rounded to half precision, so that the file compresses.
    """
    rows, columns = weights.shape
    blocks = weights.reshape(rows, columns // block_size, block_size)
    scales = (np.abs(blocks).max(-1) / 127 * 1.0005).astype(np.float16).astype(np.float32)
    scales[scales == 0] = 1
    quantised = np.clip(np.rint(blocks / scales[..., None]), -127, 127) + 128
    return quantised.astype(np.uint8), scales


def dequantise_4bit(packed: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """uint8 [rows, columns / 2] or [rows, blocks, blockSize / 2] (low nibble first), scales [rows, blocks] -> float32 [rows, columns]."""
    rows, blocks = scales.shape
    values = np.stack([packed & 15, packed >> 4], -1).reshape(rows, blocks, -1).astype(np.float32) - 8
    return (values * scales[..., None]).reshape(rows, -1)


def quantise_4bit(weights: np.ndarray, block_size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """float32 [rows, columns] -> uint8 [rows, blocks, blockSize / 2] (low nibble first), float32 scales [rows, blocks]."""
    codes, scales = codes_of_4_bits(torch.from_numpy(weights), block_size)
    codes = (codes + 8).to(torch.uint8).numpy()
    return codes[..., 0::2] | codes[..., 1::2] << 4, scales[..., 0].numpy()


def rounded_to_4_bits(weights: torch.Tensor, block_size: int = 64) -> torch.Tensor:
    """float32 [rows, columns]: what is left of the weights once they have gone through quantise_4bit."""
    codes, scales = codes_of_4_bits(weights, block_size)
    return (codes * scales).view_as(weights)


def codes_of_4_bits(weights: torch.Tensor, block_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes -8 … 7 as float32 [rows, blocks, blockSize], scales float32 [rows, blocks, 1].

    A block's largest weight takes code -8 whatever its sign, so a scale may be negative. That leaves less
    error than scales without a sign do, and rounding what was rounded changes nothing.
    """
    blocks = weights.view(len(weights), -1, block_size)
    largest = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    scales = (largest / -8).half().float()
    scales[scales == 0] = 1
    return (blocks / scales).round().clamp(-8, 7), scales
