//! Compiles the protos in pure Rust, so that no `protoc` has to be installed.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message;

/// Messages that carry plaintext: they get no derived Debug, so that no log line can print them. `lib.rs` gives them one
/// that prints names only.
const SECRET: [&str; 3] = [
    ".leasehold.v1.GenerateDataKeyResponse",
    ".leasehold.v1.WrapKeyRequest",
    ".leasehold.v1.UnwrapKeyResponse",
];

const FILES: [&str; 2] = ["leasehold/v1/key_service.proto", "leasehold/v1/tenant_service.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES, [&root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").skip_debug(SECRET).compile_fds(descriptors)?;
    Ok(())
}
