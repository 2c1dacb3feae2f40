//! Compilers that Debian has not, as their makers ship them on PyPI.

use crate::archive::{Wheel, wheels};
use anyhow::Result;
use std::path::PathBuf;

/// nvcc and what it links.
const CUDA: [Wheel; 4] = [
    ("nvidia-cuda-nvcc==13.0.88", "56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03"),
    ("nvidia-cuda-runtime==13.0.96", "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"),
    ("nvidia-cuda-crt==13.0.88", "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4"),
    ("nvidia-nvvm==13.0.88", "c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0"),
];

/// Zig, with the C compiler that it contains.
const ZIG: [Wheel; 1] =
    [("ziglang==0.13.0", "3ce0c9f16547e5d61b32e0d226926e9a2552ef4b91fccf7ab5ea1a623a77824b")];

/// The folder of the CUDA toolkit; nvcc is in its `bin`.
pub fn cuda() -> Result<PathBuf> {
    Ok(wheels("cuda-13.0", &CUDA)?.join("nvidia/cu13"))
}

/// The folder that holds `zig`.
pub fn zig() -> Result<PathBuf> {
    Ok(wheels("zig-0.13", &ZIG)?.join("ziglang"))
}
