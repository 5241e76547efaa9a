"""ONNX Runtime's own Python io_binding, as the yardstick of pass-time.ts: one step per line of stdin.

in:  {"capacity": 1024, "rows": 5, "past": 64}    out: wall and CPU milliseconds
"""
import json
import sys
import time

import numpy as np
import onnxruntime as ort

model_path, num_threads = sys.argv[1], int(sys.argv[2])
options = ort.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = num_threads, 1, 4
for name, value in json.loads(sys.argv[3]).items():
    options.add_session_config_entry(name, value)
session = ort.InferenceSession(model_path, options, providers=["CPUExecutionProvider"])
past_inputs = [value for value in session.get_inputs() if value.name.startswith("past_key_values.")]
head_size = session.get_outputs()[0].shape[2]
config = json.load(open(model_path.replace("model.onnx", "config.json")))
head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
bindings = {}


def binding_for(capacity):
    if capacity not in bindings:
        binding = session.io_binding()
        for value in past_inputs:
            cache = ort.OrtValue.ortvalue_from_numpy(np.zeros((1, value.shape[1], capacity, head_dim), np.float32))
            binding.bind_ortvalue_input(value.name, cache)
            binding.bind_ortvalue_output(value.name.replace("past_key_values", "present"), cache)
        bindings[capacity] = binding
    return bindings[capacity]


print("ready", flush=True)
for line in sys.stdin:
    step = json.loads(line)
    rows, past = step["rows"], step["past"]
    binding = binding_for(step["capacity"])
    started, cpu = time.perf_counter(), time.process_time()
    binding.bind_cpu_input("input_ids", np.full((1, rows), 7, np.int64))
    binding.bind_cpu_input("attention_mask", np.ones((1, past + rows), np.int64))
    binding.bind_cpu_input("num_logits_to_keep", np.array(rows, np.int64))
    logits = ort.OrtValue.ortvalue_from_numpy(np.empty((1, rows, head_size), np.float32))
    binding.bind_ortvalue_output("logits", logits)
    session.run_with_iobinding(binding)
    print(1000 * (time.perf_counter() - started), 1000 * (time.process_time() - cpu), flush=True)
