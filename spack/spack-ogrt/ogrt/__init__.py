"""Spack's store in OGRT's registry."""
