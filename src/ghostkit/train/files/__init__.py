"""What torch writes into files, read without running any pickle, and the checksum of tensors."""
