//! Typed ids, parsed in their constructors.
