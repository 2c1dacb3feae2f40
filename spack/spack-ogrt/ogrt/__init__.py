"""Registers what is in Spack's store with OGRT."""
