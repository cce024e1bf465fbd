"""From images and metadata to logits: backbones, pooling, fusions and heads, put together by `zoo.build`."""
