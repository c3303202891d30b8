"""GAN-based attacks: a generator trained against a model that others train."""
