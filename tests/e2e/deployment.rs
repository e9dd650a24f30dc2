//! What operators install.

use std::path::{Path, PathBuf};
use std::process::Command;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

#[test]
fn the_unit_is_one_that_systemd_understands() {
    let unit = std::fs::read_to_string(file("systemd/leasehold.service")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    // It is verified that what it runs is there.
    let installed = directory.path().join("leasehold.service");
    let unit = unit.replace("/usr/local/bin/leasehold", env!("CARGO_BIN_EXE_leasehold"));
    std::fs::write(&installed, unit).unwrap();
    match Command::new("systemd-analyze").arg("verify").arg(&installed).output() {
        Ok(verified) => {
            // What it does not know it ignores, and says so.
            let said = String::from_utf8_lossy(&verified.stderr);
            assert!(verified.status.success() && !said.contains("leasehold.service"), "{said}");
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: systemd-analyze is not installed here");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn p1_the_unit_lets_the_kernel_announce_restored_snapshots() {
    let unit = std::fs::read_to_string(file("systemd/leasehold.service")).unwrap();
    let families = unit.lines().find_map(|line| line.strip_prefix("RestrictAddressFamilies=")).unwrap();
    assert!(families.split(' ').any(|family| family == "AF_NETLINK"), "{families}");
}
