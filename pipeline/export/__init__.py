"""A run that travels: what predicts, without the training lesions and, as ONNX, without torch."""
