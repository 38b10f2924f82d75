"""The encoder for inference: fused, quantized and AMX layers, and the memory that they take."""
