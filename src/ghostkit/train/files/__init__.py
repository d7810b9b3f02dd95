"""Read torch's files without executing any pickle; a checksum of tensors."""
