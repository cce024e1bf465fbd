"""Networks of our own, one file each, built by name through `image_models.zoo.NETWORKS`."""
