"""Reads and writes the quantised weights of this project's ONNX folders.

Knows the two block formats that the folders use: MatMulNBits with 8 bits and GatherBlockQuantized
with 8 or 4 bits, all symmetric. Does not know what the matrices mean.
"""

from pathlib import Path

import numpy as np
import onnx
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
    """uint8 [rows, columns / 2] (low nibble first), scales [rows, blocks] -> float32 [rows, columns]."""
    rows, blocks = scales.shape
    values = np.stack([packed & 15, packed >> 4], -1).reshape(rows, blocks, -1).astype(np.float32) - 8
    return (values * scales[..., None]).reshape(rows, -1)
