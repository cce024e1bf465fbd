"""Images (and metadata, for fusion networks) to probabilities; needs torch, timm, numpy and safetensors alone."""
