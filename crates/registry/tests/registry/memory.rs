//! The registry in memory keeps the contract.

use leasehold_registry::MemoryRegistry;

use crate::contract::on_every_registry;

on_every_registry!(async { (MemoryRegistry::new(), ()) });
