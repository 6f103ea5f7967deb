"""The public documents: what they must look like, and what they mean in the model."""
